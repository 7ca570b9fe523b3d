"""A frame of 64 MiB that says it holds 900 bytes."""

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "does not decompress")
BOMB = True


def attack(forge: Forge) -> None:
    frame = compress(bytes(64 << 20))
    forge.frame(1, frame[:6] + (900).to_bytes(4, "little") + frame[10:])
