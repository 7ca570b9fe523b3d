"""A shape below zero."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 12
ERROR = MalformedError
EXIT = 13
WORDS = ("shape",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["tensors"][0].update(shape=[-1]))
