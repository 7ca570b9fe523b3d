"""A truth value where a number has to be."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("round",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(round=True))
