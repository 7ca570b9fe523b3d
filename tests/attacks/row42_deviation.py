"""A claim of so much noise that no loss that rose would be looked at."""

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 42
ERROR = PeerError
EXIT = 15
WORDS = ("deviation 1e+300", "the plan makes it")
STAGE = ("private", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["privacy"].update(deviation=1e300))
