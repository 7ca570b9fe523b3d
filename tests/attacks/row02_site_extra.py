"""A site.toml of whoever carried the disk."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 2
ERROR = CorruptError
EXIT = 12
WORDS = ("'site.toml' is not signed",)
HINT = "copy"


def attack(forge: Forge) -> None:
    forge.path("site.toml").touch()
