"""A file of an older round among those of a newer."""

import shutil

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 11
ERROR = CorruptError
EXIT = 12
WORDS = ("'data/c0002-p0000.safetensors.zst'",)
HINT = "copy"
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    name = "data/c0002-p0000.safetensors.zst"
    shutil.copy(forge.world.bundle("learner", 1) / name, forge.path(name))
