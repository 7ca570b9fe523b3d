"""A line end in a tensor's name."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 15
ERROR = MalformedError
EXIT = 13
WORDS = ("control character",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["tensors"][0].update(name="a\nb"))
