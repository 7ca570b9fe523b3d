"""A size below the truth."""

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "does not decompress")


def attack(forge: Forge) -> None:
    frame = bytearray(compress(forge.raw(1)))
    assert frame[4] >> 6 == 1  # two bytes after the descriptor hold the size, less 256
    frame[5:7] = (len(forge.raw(1)) - 1 - 256).to_bytes(2, "little")
    forge.frame(1, bytes(frame))
