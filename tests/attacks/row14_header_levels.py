"""A safetensors header of 4,000 levels."""

from alx.errors import MalformedError
from tests.forge import Forge, compress, safetensors

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "too deeply")


def attack(forge: Forge) -> None:
    forge.frame(1, compress(safetensors(b"[" * 4000, b"")))
