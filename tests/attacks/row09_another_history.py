"""A round that continues another history."""

from alx.errors import ForkError
from tests.forge import Forge

FAULT = 9
ERROR = ForkError
EXIT = 16
WORDS = ("another history",)
HINT = "old backup"
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(previous="0" * 64))
