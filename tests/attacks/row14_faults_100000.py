"""A hundred thousand faults."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("100000 fields",)
BOMB = True


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"].update(resources=[0] * 100_000))
