"""Another number of samples on both sides."""

from pathlib import Path

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 40
ERROR = PeerError
EXIT = 15
WORDS = ("1 sample on both sides", "expected 100")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m["start"].update(samples=1))
    return forge.closing.bundle
