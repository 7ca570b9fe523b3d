"""Blanks and tabs in a safetensors header, which hold a data set."""

from alx.errors import MalformedError
from tests.forge import Forge, compress, header_of, safetensors

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("header of data/c0001-p0000.safetensors.zst", "one form")


def attack(forge: Forge) -> None:
    header, planes = header_of(forge.raw(1))
    forge.frame(1, compress(safetensors(header + b" \t" * 1000, planes)))
