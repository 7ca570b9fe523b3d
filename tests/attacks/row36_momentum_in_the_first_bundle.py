"""A blend with momentum in a sender's first bundle, which has no turn before."""

from typing import Any

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("momentum in the first bundle",)
STAGE = ("answered", "provider", 1)


def lie(m: dict[str, Any]) -> None:
    """From nowhere."""
    next(c for c in m["candidates"] if c["blend"])["blend"]["momentum"] = 0.5


def attack(forge: Forge) -> None:
    forge.edit(lie)
