"""Moments that count half a sample of a class."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("moments are those of no samples", "30.5")
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.moments(lambda by_class, _: by_class.__setitem__((-1, 0), 30.5))
