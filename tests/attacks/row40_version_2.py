"""A version of the closing that is not there yet."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("closing.json", "version 2", "expected 1")
HINT = "same version"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m.update(version=2))
    return forge.closing.bundle
