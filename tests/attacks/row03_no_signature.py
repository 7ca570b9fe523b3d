"""The signature file is missing: the sender, or a copy, did not finish."""

from alx.errors import IncompleteError
from tests.forge import Forge

FAULT = 3
ERROR = IncompleteError
EXIT = 10
WORDS = ("has no round.sig", "did not finish")
HINT = "alx export"


def attack(forge: Forge) -> None:
    forge.path("round.sig").unlink()
