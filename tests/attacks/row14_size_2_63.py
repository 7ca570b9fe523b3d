"""A file said to have 2^63 bytes."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("size",)
BOMB = True


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"]["resources"][0].update(size=2**63))
