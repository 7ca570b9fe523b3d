"""A symbolic link in place of the signature file."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("symbolic link",)


def attack(forge: Forge) -> None:
    kept = forge.bundle.parent / "kept"
    forge.path("round.sig").rename(kept)
    forge.path("round.sig").symlink_to(kept)
