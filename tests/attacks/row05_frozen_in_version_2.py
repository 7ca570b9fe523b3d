"""A bundle of version 2 with what only version 3 has."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("frozen",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(version=2))
