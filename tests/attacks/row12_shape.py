"""Another shape."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("got F32[2, 4]",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["tensors"][0].update(shape=[2, 4]))
