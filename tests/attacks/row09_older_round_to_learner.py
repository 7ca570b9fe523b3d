"""The provider's round 1 after its round 2."""

from alx.errors import RollbackError
from tests.forge import Forge

FAULT = 9
ERROR = RollbackError
EXIT = 16
WORDS = ("round 1", "round 2")
HINT = "newest"
STAGE = ("finished", "provider", 1)


def attack(forge: Forge) -> None:
    assert forge.bundle == forge.world.bundle("provider", 1)  # as it is
