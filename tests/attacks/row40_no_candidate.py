"""A candidate that the provider's bundle does not have."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("candidate 4000", "our bundle has")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m["start"].update(candidate=4000))
    return forge.closing.bundle
