"""A field named by control characters."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = (r"\x1b[2J\u202e",)


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d.update({"\x1b[2J\u202e": 1}))
