"""Another sender's key."""

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 10
ERROR = PeerError
EXIT = 15
WORDS = ("sender's key",)
HINT = "this site"


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["sender"].update(key="0" * 64))
