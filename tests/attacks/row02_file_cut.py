"""A file is cut short."""

import os

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("'data/c0001-p0000.safetensors.zst' has 9 bytes, expected",)
HINT = "copy"


def attack(forge: Forge) -> None:
    os.truncate(forge.path("data/c0001-p0000.safetensors.zst"), 9)
