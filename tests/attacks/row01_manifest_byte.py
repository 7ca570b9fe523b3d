"""A byte of the manifest is changed."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 1
ERROR = CorruptError
EXIT = 12
WORDS = ("1 of the bundle's files", "'manifest.json' differs")
HINT = "copy"


def attack(forge: Forge) -> None:
    forge.flip("manifest.json")
