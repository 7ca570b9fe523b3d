"""An operating system or a program left ._manifest.json."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 2
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'._manifest.json' is not of the bundle",)
HINT = "delete it"


def attack(forge: Forge) -> None:
    forge.path("._manifest.json").touch()
