"""A folder among the data."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'data/x' is a folder",)


def attack(forge: Forge) -> None:
    forge.path("data/x").mkdir()
