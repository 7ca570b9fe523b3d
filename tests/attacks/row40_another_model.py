"""Another model than the candidate that it names."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("the model 0000", "expected")
HINT = "different models"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m.update(state="0" * 64))
    return forge.closing.bundle
