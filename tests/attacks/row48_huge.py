"""A moment that overflows whatever is made of it."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("no sum of features",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.moments(lambda _, second: second.__setitem__(0, 1e300))
