"""Approved with a key that is in no plan."""

from alx.bundle import keys
from alx.errors import TrustError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = TrustError
EXIT = 11
WORDS = ("which is no officer's of the plan",)
HINT = "a new plan only"
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    officers.made(forge, keys.generate())
