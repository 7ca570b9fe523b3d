"""A plane's name twice."""

from alx.errors import MalformedError
from tests.forge import Forge, compress, header_of, safetensors

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0001-p0000.safetensors.zst", "'w4.plane0' twice")


def attack(forge: Forge) -> None:
    header, data = header_of(forge.raw(1))
    one = header.rstrip()[1:-1]
    forge.frame(1, compress(safetensors(b"{" + one + b"," + one + b"}", data)))
