"""A symbolic link in place of the data folder."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'data' is a symbolic link",)


def attack(forge: Forge) -> None:
    kept = forge.bundle.parent / "kept"
    forge.path("data").rename(kept)
    forge.path("data").symlink_to(kept)
