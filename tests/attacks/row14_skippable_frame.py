"""A skippable frame first."""

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "does not state its size")


def attack(forge: Forge) -> None:
    forge.frame(1, b"\x50\x2a\x4d\x18\x04\0\0\0alx!" + compress(forge.raw(1)))
