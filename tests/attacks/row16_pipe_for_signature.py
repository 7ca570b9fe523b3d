"""A pipe in place of the signature file."""

import os

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'round.sig' is a pipe",)


def attack(forge: Forge) -> None:
    path = forge.path("round.sig")
    path.unlink()
    os.mkfifo(path)
