"""One officer has approved, of two that the plan asks for."""

from alx.errors import TrustError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = TrustError
EXIT = 11
WORDS = ("1 of 2 approvals are there", "of 3 officers")
HINT = "ask the peer"
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    officers.file(forge, 1).unlink()
