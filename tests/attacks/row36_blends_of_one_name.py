"""Two blends of one name."""

from typing import Any

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("two blends have one name",)
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    def twice(m: dict[str, Any]) -> None:
        blends = [c for c in m["candidates"] if c["blend"]]
        blends[1]["blend"] = blends[0]["blend"]

    forge.edit(twice)
