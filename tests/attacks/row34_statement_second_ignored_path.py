"""A second path left out of the signature, which holds a data set."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("leaves out 2 paths",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"]["serialization"]["ignore_paths"].append("row 1,0,1;" * 10_000))
