"""A window of 2 TiB."""

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "is not a zstd frame")
BOMB = True


def attack(forge: Forge) -> None:
    frame, size = compress(forge.raw(1)), len(forge.raw(1))
    forge.frame(1, frame[:4] + bytes([0x84, 31 << 3]) + size.to_bytes(4, "little") + frame[7:])
