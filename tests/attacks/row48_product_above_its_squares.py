"""A product of two features that is above what their squares allow."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("a product is larger",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.moments(lambda _, second: second.__setitem__(1, 1e9))
