"""The fields around the payload in another order: nothing signs them."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("one item a line",)


def attack(forge: Forge) -> None:
    forge.put(dict(reversed(forge.document().items())))
