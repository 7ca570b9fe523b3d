"""A file has one byte more."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("'data/c0001-p0000.safetensors.zst' has",)
HINT = "copy"


def attack(forge: Forge) -> None:
    path = forge.path("data/c0001-p0000.safetensors.zst")
    path.write_bytes(path.read_bytes() + b"x")
