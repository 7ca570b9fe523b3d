"""The planes of rounded words, in the file only, over the bytes of all planes."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("data/c0001-p0000.safetensors.zst", "planes of its part of the agreed model")


def attack(forge: Forge) -> None:
    forge.header(lambda d, _: [d.pop(f"w4.plane{i}") for i in (0, 1)] and None)
