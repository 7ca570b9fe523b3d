"""A file is missing."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("'data/c0001-p0000.safetensors.zst' is missing",)
HINT = "copy"


def attack(forge: Forge) -> None:
    forge.path("data/c0001-p0000.safetensors.zst").unlink()
