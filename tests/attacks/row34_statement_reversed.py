"""The files in reversed order."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("another order",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"]["resources"].reverse())
