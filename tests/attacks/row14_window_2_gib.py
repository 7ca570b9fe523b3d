"""A window of 2 GiB."""

from alx.bundle.codec import MAX_WINDOW_BYTES
from alx.errors import LimitError
from tests.forge import Forge, compress

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("data/c0001-p0000.safetensors.zst", "wants a window of", str(MAX_WINDOW_BYTES))
BOMB = True


def attack(forge: Forge) -> None:
    frame, size = compress(forge.raw(1)), len(forge.raw(1))
    forge.frame(1, frame[:4] + bytes([0x84, 21 << 3]) + size.to_bytes(4, "little") + frame[7:])
