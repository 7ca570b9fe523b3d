"""A closing of 5,000 bytes."""

from pathlib import Path

from alx.errors import LimitError
from tests.forge import Forge

FAULT = 40
ERROR = LimitError
EXIT = 14
WORDS = ("closing.json", "may have 4096")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.manifest_bytes(forge.closing.head.read_bytes().ljust(5000))
    return forge.closing.bundle
