"""A frame that says it holds 64 MiB, and does."""

from alx.errors import LimitError
from tests.forge import Forge, compress

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("data/c0001-p0000.safetensors.zst", "would decompress to 67108864 bytes")
BOMB = True


def attack(forge: Forge) -> None:
    forge.frame(1, compress(bytes(64 << 20)))
