"""A sparse file of 10 TB."""

import os

from alx.errors import LimitError
from tests.forge import Forge

FAULT = 18
ERROR = LimitError
EXIT = 14
WORDS = ("10995116277760 bytes",)
BOMB = True


def attack(forge: Forge) -> None:
    os.truncate(forge.path("data/c0001-p0000.safetensors.zst"), 10 << 40)
