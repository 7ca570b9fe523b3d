"""A snapshot is no zstd frame any more; unsigned bytes reach no parser, so it is not called malformed."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 1
ERROR = CorruptError
EXIT = 12
WORDS = ("'data/c0001-p0000.safetensors.zst' differs",)
HINT = "copy"


def attack(forge: Forge) -> None:
    path = forge.path("data/c0001-p0000.safetensors.zst")
    path.write_bytes(b"\0" * path.stat().st_size)
