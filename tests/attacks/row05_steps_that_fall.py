"""Steps that do not rise."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("do not rise",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][1].update(step=99))
