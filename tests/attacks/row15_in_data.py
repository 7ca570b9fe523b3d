"""A bad name in the data folder."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 15
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'data/X'", "a name that no bundle has")


def attack(forge: Forge) -> None:
    forge.path("data/X").touch()
