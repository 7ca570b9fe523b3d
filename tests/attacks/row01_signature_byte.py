"""A byte of the signature file is changed."""

from alx.errors import TrustError
from tests.forge import Forge

FAULT = 1
ERROR = TrustError
EXIT = 11
WORDS = ("does not verify",)
HINT = "again"


def attack(forge: Forge) -> None:
    forge.flip("round.sig", 400)
