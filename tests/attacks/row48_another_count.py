"""Moments of one sample more than the bundle says."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("moments are of 61",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.moments(lambda by_class, _: by_class.__setitem__((-1, 0), by_class[-1, 0] + 1))
