"""A missing tensor."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("got nothing",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["tensors"].pop())
