"""Of other data than were paired with."""

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 10
ERROR = PeerError
EXIT = 15
WORDS = ("sample count is 41, expected 40",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(samples=41))
