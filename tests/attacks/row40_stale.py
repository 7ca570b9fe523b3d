"""A closing that answers another bundle than the last."""

from pathlib import Path

from alx.errors import StaleError
from tests.forge import Forge

FAULT = 40
ERROR = StaleError
EXIT = 16
WORDS = ("does not answer",)
HINT = "newest bundle"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m.update(answers="0" * 64))
    return forge.closing.bundle
