"""A signed snapshot of no bytes."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "is not a zstd frame")


def attack(forge: Forge) -> None:
    forge.frame(1, b"")
