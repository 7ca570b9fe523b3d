"""Half a frame."""

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "does not decompress")


def attack(forge: Forge) -> None:
    forge.frame(1, compress(forge.raw(1))[:-9])
