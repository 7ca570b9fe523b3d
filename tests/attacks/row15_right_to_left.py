"""A right-to-left mark, in a name on the disk."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 15
ERROR = ForbiddenFileError
EXIT = 20
WORDS = (r"'a\u202eb'", "a name that no bundle has")


def attack(forge: Forge) -> None:
    forge.path("a\u202eb").touch()
