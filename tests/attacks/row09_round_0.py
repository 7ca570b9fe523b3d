"""Round 0."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 9
ERROR = MalformedError
EXIT = 13
WORDS = ("round",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(round=0))
