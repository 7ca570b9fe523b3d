"""A bundle's manifest in the closing's place."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge, form

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("closing.json", "no closing")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.manifest_bytes(form({"format": "alx-bundle", "version": 2}))
    return forge.closing.bundle
