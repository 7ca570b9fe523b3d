"""A closing that continues another history."""

from pathlib import Path

from alx.errors import ForkError
from tests.forge import Forge

FAULT = 40
ERROR = ForkError
EXIT = 16
WORDS = ("another history",)
HINT = "old backup"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m.update(previous="0" * 64))
    return forge.closing.bundle
