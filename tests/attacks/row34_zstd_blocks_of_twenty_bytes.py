"""A zstd block for every twenty bytes: how they are cut could hold a data set."""

import zstandard

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("zstd blocks for a content of",)


def attack(forge: Forge) -> None:
    raw = forge.raw(1)
    frame = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(raw)
    begin, cuts = zstandard.frame_header_size(frame), range(0, len(raw), 20)
    blocks = [(len(raw[i : i + 20]) << 3 | (i == cuts[-1])).to_bytes(3, "little") + raw[i : i + 20] for i in cuts]
    forge.frame(1, frame[:begin] + b"".join(blocks) + frame[-4:])
