"""A version of the format that is not there yet."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("format version 5", "expected 1 to 4")
HINT = "same version"


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(version=5))
