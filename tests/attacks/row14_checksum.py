"""A wrong checksum."""

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "does not decompress")


def attack(forge: Forge) -> None:
    frame = compress(forge.raw(1))
    forge.frame(1, frame[:-1] + bytes([frame[-1] ^ 1]))
