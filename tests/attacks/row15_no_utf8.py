"""Bytes that are no UTF-8, in a name on the disk."""

import os

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 15
ERROR = ForbiddenFileError
EXIT = 20
WORDS = (r"'a\udcffb'", "a name that no bundle has")


def attack(forge: Forge) -> None:
    forge.path(os.fsdecode(b"a\xffb")).touch()
