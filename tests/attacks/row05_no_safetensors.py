"""A frame around something that is no safetensors file."""

from alx.errors import MalformedError
from tests.forge import Forge, compress

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "no safetensors file")


def attack(forge: Forge) -> None:
    forge.frame(1, compress(b"short"))
