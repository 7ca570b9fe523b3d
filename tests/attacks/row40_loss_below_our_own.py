"""A global loss below the provider's own part of it."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("less than our own part", "never below 0")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m["start"].update(global_loss=0.5))
    return forge.closing.bundle
