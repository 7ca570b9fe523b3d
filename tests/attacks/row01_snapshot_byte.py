"""A byte of a snapshot is changed."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 1
ERROR = CorruptError
EXIT = 12
WORDS = ("1 of the bundle's files", "'data/c0001-p0000.safetensors.zst' differs")
HINT = "alx export"


def attack(forge: Forge) -> None:
    forge.flip("data/c0001-p0000.safetensors.zst")
