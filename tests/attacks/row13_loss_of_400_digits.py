"""A loss of 400 digits."""

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 13
ERROR = NotFiniteError
EXIT = 13
WORDS = ("loss",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][0].update(loss=10**399))
