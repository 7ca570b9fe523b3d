"""An officer's approval of another bundle."""

from alx.errors import TrustError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = TrustError
EXIT = 11
WORDS = ("approves a bundle of digest 0000000000000000",)
HINT = "approve this bundle"
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    officers.made(forge, officers.KEYS[1], "0" * 64)
