"""A field that a closing does not have."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("closing.json", "note")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m.update(note="a data set"))
    return forge.closing.bundle
