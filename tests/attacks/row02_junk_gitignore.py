"""An operating system or a program left .gitignore."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 2
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'.gitignore' is not of the bundle",)
HINT = "delete it"


def attack(forge: Forge) -> None:
    forge.path(".gitignore").touch()
