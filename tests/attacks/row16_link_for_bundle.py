"""A symbolic link in place of the bundle."""

from pathlib import Path

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("is a symbolic link",)
HINT = "name the folder"


def attack(forge: Forge) -> Path:
    link = forge.bundle.with_name("link")
    link.symlink_to(forge.bundle)
    return link
