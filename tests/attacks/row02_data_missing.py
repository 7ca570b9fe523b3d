"""The whole data folder is missing."""

import shutil

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("4 of the", "is missing")
HINT = "copy"


def attack(forge: Forge) -> None:
    shutil.rmtree(forge.path("data"))
