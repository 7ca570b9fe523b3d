"""An operating system or a program left data/.DS_Store."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 2
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'data/.DS_Store' is not of the bundle",)
HINT = "delete it"


def attack(forge: Forge) -> None:
    forge.path("data/.DS_Store").touch()
