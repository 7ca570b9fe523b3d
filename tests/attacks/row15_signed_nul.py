"""A NUL, as the name of a signed file."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 15
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("a name that no bundle has",)


def attack(forge: Forge) -> None:
    forge.also_sign("a\x00b")
