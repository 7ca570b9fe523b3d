"""A file too many, by a good name."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("'data/x' is not signed",)
HINT = "copy"


def attack(forge: Forge) -> None:
    forge.path("data/x").touch()
