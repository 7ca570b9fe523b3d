"""A plane whose shape is [0, 2^62]."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 14
ERROR = ModelError
EXIT = 17
WORDS = ("data/c0001-p0000.safetensors.zst", "planes of its part of the agreed model")
BOMB = True


def attack(forge: Forge) -> None:
    forge.header(lambda d, _: d["w4.plane0"].update(shape=[0, 1 << 62]))
