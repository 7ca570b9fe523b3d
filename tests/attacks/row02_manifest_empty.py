"""The manifest is empty."""

import os

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("has 0 bytes",)
HINT = "copy"


def attack(forge: Forge) -> None:
    os.truncate(forge.path("manifest.json"), 0)
