"""Sequence 2^63."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 9
ERROR = MalformedError
EXIT = 13
WORDS = ("sequence",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(sequence=2**63))
