"""An extra tensor."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("'zz' expected nothing",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["tensors"].append({"name": "zz", "dtype": "F32", "shape": [1]}))
