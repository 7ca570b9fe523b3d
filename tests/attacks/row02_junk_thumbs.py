"""An operating system or a program left Thumbs.db."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 2
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'Thumbs.db' is not of the bundle",)
HINT = "delete it"


def attack(forge: Forge) -> None:
    forge.path("Thumbs.db").touch()
