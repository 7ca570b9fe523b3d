"""Empty zstd blocks, each with a byte of a data set."""

import zstandard

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("empty zstd block",)


def attack(forge: Forge) -> None:
    data, begin = forge.file(1).read_bytes(), zstandard.frame_header_size(forge.file(1).read_bytes())
    empty = b"".join(bytes([0b010, 0, 0, byte]) for byte in b"row 1,0,1;" * 4)  # a run of no bytes
    forge.frame(1, data[:begin] + empty + data[begin:])
