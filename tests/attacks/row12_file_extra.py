"""An extra tensor, in the file only."""

from typing import Any

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("data/c0001-p0000.safetensors.zst", "planes of its part of the agreed model")


def append(document: dict[str, Any], data: bytes) -> bytes:
    """A plane more."""
    document["w8.plane0"] = {"dtype": "U8", "shape": [1], "data_offsets": [len(data), len(data) + 1]}
    return data + b"x"


def attack(forge: Forge) -> None:
    forge.header(append)
