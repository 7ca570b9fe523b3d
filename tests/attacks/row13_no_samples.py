"""No samples."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 13
ERROR = MalformedError
EXIT = 13
WORDS = ("samples",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(samples=0))
