"""A field that no signature file has."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("extra",)


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d.update(extra=1))
