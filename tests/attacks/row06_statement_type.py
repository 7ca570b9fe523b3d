"""Another type of statement."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("_type",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s.update(_type="x"))
