"""An operating system or a program left desktop.ini."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 2
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'desktop.ini' is not of the bundle",)
HINT = "delete it"


def attack(forge: Forge) -> None:
    forge.path("desktop.ini").touch()
