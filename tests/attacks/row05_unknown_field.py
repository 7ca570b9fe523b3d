"""A field that no manifest has."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("patients",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(patients=3))
