"""Another architecture."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("'0.bias' expected F32[8], got nothing", "and 4 more")
HINT = "same model"


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(tensors=[{"name": "w", "dtype": "F32", "shape": [3]}]))
