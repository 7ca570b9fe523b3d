"""A global loss that is infinite."""

import re
from pathlib import Path

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 40
ERROR = NotFiniteError
EXIT = 13
WORDS = ("global loss is inf",)
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.manifest_bytes(
        re.sub(rb'"global_loss": [0-9.]+', b'"global_loss": 1e999', forge.closing.head.read_bytes())
    )
    return forge.closing.bundle
