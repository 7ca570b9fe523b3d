"""A socket."""

import contextlib
import socket

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("is a socket",)


def attack(forge: Forge) -> None:
    path = forge.path("data/c0001-p0000.safetensors.zst")
    path.unlink()
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:  # the path of a socket has 108 bytes
        made.bind(path.name)
