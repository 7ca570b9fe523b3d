"""The folder of the approvals is a symbolic link."""

from alx.errors import ForbiddenFileError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("is a symbolic link",)
HINT = "copy the folder"
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    place = officers.beside(forge.bundle)
    place.rename(place.with_name("elsewhere"))
    place.symlink_to("elsewhere")
