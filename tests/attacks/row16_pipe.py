"""A pipe."""

import os

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'data/c0001-p0000.safetensors.zst' is a pipe",)


def attack(forge: Forge) -> None:
    path = forge.path("data/c0001-p0000.safetensors.zst")
    path.unlink()
    os.mkfifo(path)
