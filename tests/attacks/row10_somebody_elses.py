"""For somebody else."""

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 10
ERROR = PeerError
EXIT = 15
WORDS = ("receiver's key is 0000",)
HINT = "this site"


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["receiver"].update(key="0" * 64))
