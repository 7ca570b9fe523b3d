"""A bundle that names frozen weights, and of no tensor."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("frozen.tensors",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(frozen={"tensors": 0, "bytes": 0, "digest": "a" * 64}))
