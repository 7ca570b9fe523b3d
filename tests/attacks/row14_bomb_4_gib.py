"""4 GiB in 131 kB, by run-length blocks."""

from alx.errors import LimitError
from tests.forge import Forge

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("data/c0001-p0000.safetensors.zst", "would decompress to 4294967296 bytes")
BOMB = True


def attack(forge: Forge) -> None:
    body = run(last=False) * 32_767 + run(last=True) + b"\0" * 4
    forge.frame(1, b"\x28\xb5\x2f\xfd" + bytes([0xC4, 0x38]) + (1 << 32).to_bytes(8, "little") + body)  # a window of 128 KiB


def run(*, last: bool) -> bytes:
    """A run-length block: 128 KiB of zeros in four bytes."""
    return (last | 1 << 1 | (128 << 10) << 3).to_bytes(3, "little") + b"\0"
