"""An approval that is a symbolic link."""

from alx.errors import ForbiddenFileError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("is a symbolic link",)
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    path = officers.file(forge, 1)
    path.unlink()
    path.symlink_to("/dev/zero")
