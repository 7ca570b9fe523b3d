"""Another candidate than the model that it names."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("the closing says that t=0 of our bundle", "expected")
HINT = "different models"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m["start"].update(candidate=0))
    return forge.closing.bundle
