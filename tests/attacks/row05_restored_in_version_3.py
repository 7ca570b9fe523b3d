"""A bundle of version 3 with what only version 4 has."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("restored",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(version=3))
