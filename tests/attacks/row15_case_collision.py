"""A name that differs from another by its case, in a name on the disk."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 15
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("Manifest.json", "a name that no bundle has")


def attack(forge: Forge) -> None:
    forge.path("Manifest.json").touch()
