"""A model of 2^640 bytes."""

from alx.bundle.layout import MAX_STATE_BYTES
from alx.errors import LimitError
from tests.forge import Forge

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("a snapshot of", str(MAX_STATE_BYTES))
BOMB = True


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(tensors=[{"name": "w", "dtype": "F32", "shape": [1 << 40] * 16}]))
