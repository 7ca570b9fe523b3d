"""Another version of the format."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("version", r"'2\x1b'")
HINT = "same version"


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(version="2\x1b"))
