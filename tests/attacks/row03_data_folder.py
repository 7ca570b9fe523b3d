"""The data folder is given instead of the bundle."""

from pathlib import Path

from alx.errors import IncompleteError
from tests.forge import Forge

FAULT = 3
ERROR = IncompleteError
EXIT = 10
WORDS = ("'data' has no round.sig",)


def attack(forge: Forge) -> Path:
    return forge.path("data")
