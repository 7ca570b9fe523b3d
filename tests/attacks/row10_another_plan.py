"""Another plan than the bundle's name says."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 10
ERROR = MalformedError
EXIT = 13
WORDS = ("signed as",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(plan="0" * 64))
