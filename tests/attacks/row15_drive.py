"""A drive, in a name on the disk."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 15
ERROR = ForbiddenFileError
EXIT = 20
WORDS = (r"'C:\x'", "a name that no bundle has")


def attack(forge: Forge) -> None:
    forge.path("C:\\x").touch()
