"""A terminal's escape, in a name on the disk."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 15
ERROR = ForbiddenFileError
EXIT = 20
WORDS = (r"'a\x1b[2Jb'", "a name that no bundle has")


def attack(forge: Forge) -> None:
    forge.path("a\x1b[2Jb").touch()
