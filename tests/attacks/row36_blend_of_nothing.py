"""A blend with no share of either state."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("no share of either state",)
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: next(c for c in m["candidates"] if c["blend"])["blend"].update(own=0.0, peer=0.0))
