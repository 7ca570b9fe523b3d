"""Metadata, in the file only."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("data/c0001-p0000.safetensors.zst", "planes of its part of the agreed model")


def attack(forge: Forge) -> None:
    forge.header(lambda d, _: d.update(__metadata__={"a": "b"}))
