"""The signature file is empty."""

import os

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 2
ERROR = MalformedError
EXIT = 13
WORDS = ("not JSON",)


def attack(forge: Forge) -> None:
    os.truncate(forge.path("round.sig"), 0)
