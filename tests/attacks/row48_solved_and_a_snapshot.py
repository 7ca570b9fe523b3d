"""A snapshot that is said to be solved for."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("either a snapshot",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][-1].update(solved=True))
