"""A snapshot that names another's file."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("candidate 0",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][0].update(files=["data/c0001-p0000.safetensors.zst"]))
