"""A statement that allows links."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("allow_symlinks",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"]["serialization"].update(allow_symlinks=True))
