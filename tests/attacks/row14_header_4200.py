"""A safetensors header of 4,200 bytes, more than any part needs."""

from alx.errors import MalformedError
from tests.forge import Forge, compress, header_of, safetensors

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "header of")


def attack(forge: Forge) -> None:
    header, _ = header_of(forge.raw(1))
    forge.frame(1, compress(safetensors(header + b" " * 4096, b"")))
