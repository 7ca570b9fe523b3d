"""A tensor listed twice."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 12
ERROR = MalformedError
EXIT = 13
WORDS = ("twice",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["tensors"].insert(0, m["tensors"][0]))
