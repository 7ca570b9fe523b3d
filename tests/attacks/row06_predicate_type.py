"""Another type of predicate."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("predicateType",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s.update(predicateType="x"))
