"""A bundle that was trained beside other frozen weights, of a model that has some."""

from alx.errors import ModelError
from tests.forge import Forge

FAULT = 12
ERROR = ModelError
EXIT = 17
WORDS = ("the bundle's frozen weights are others", "expected none", "got 2 tensors, 96 B, SHA-256 aaaaaaaaaaaaaaaa…")
HINT = "the same ones"


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(frozen={"tensors": 2, "bytes": 96, "digest": "a" * 64}))
