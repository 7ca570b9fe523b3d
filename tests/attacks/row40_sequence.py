"""The sequence of a turn."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("sequence 3", "closing after round 2")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m.update(sequence=3))
    return forge.closing.bundle
