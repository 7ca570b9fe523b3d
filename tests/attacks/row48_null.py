"""Moments that are said to be none, in words that no writer has."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("manifest.json",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(moments=None))
