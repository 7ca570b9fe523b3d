"""A blend that is chosen, and whose recipe is another than what it was made by."""

from typing import Any

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("blend 3.999+0.5", "is another model")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    def lie(m: dict[str, Any]) -> None:
        blend = next(c for c in m["candidates"] if c["blend"])
        blend["blend"]["own"], blend["loss"] = 3.999, 0.0

    forge.edit(lie)
