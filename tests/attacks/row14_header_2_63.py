"""A safetensors header that says it has 2^63 bytes."""

import struct

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", f"header of {1 << 63} bytes")
BOMB = True


def attack(forge: Forge) -> None:
    forge.frame(1, compress(struct.pack("<Q", 1 << 63) + forge.raw(1)[8:]))
