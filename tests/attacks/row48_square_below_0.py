"""A feature whose squares add up to less than 0."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("a product is larger",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.moments(lambda _, second: second.__setitem__(0, -1.0))
