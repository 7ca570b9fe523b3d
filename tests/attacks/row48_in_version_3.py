"""Moments in a bundle of version 3."""

from typing import Any

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("moments",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    def older(m: dict[str, Any]) -> None:
        del m["restored"], m["privacy"]
        m["version"] = 3

    forge.edit(older)
