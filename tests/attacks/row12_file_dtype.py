"""Another dtype, in the file only."""

from typing import Any

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("data/c0001-p0000.safetensors.zst", "planes of its part of the agreed model")


def halve(document: dict[str, Any], data: bytes) -> bytes:
    """The same bytes, said to be words of two bytes."""
    document.clear()
    half = len(data) // 2
    for i in range(2):
        document[f"w2.plane{i}"] = {"dtype": "U8", "shape": [half], "data_offsets": [i * half, (i + 1) * half]}
    return data


def attack(forge: Forge) -> None:
    forge.header(halve)
