"""An operating system or a program left .DS_Store."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 2
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'.DS_Store' is not of the bundle",)
HINT = "delete it"


def attack(forge: Forge) -> None:
    forge.path(".DS_Store").touch()
