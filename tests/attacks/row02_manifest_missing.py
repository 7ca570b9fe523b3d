"""The manifest is missing."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("'manifest.json' is missing",)
HINT = "copy"


def attack(forge: Forge) -> None:
    forge.path("manifest.json").unlink()
