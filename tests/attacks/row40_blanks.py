"""Blanks and tabs behind a closing, which hold something."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("closing.json", "one form")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.manifest_bytes(forge.closing.head.read_bytes() + b" \t" * 50)
    return forge.closing.bundle
