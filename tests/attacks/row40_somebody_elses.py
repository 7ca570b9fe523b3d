"""A closing for somebody else."""

from pathlib import Path

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 40
ERROR = PeerError
EXIT = 15
WORDS = ("receiver's key is 0000", "expected")
HINT = "this site"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m["receiver"].update(key="0" * 64))
    return forge.closing.bundle
