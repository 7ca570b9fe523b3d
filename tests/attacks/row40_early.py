"""A closing before the plan's last round."""

from pathlib import Path

from alx.errors import GapError
from tests.forge import Forge

FAULT = 40
ERROR = GapError
EXIT = 16
WORDS = ("closing after round 1", "the plan has 2 rounds")
HINT = "import-and-select"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    early = forge.closing.bundle.rename(forge.closing.bundle.with_name(forge.closing.bundle.name.replace("r002", "r001")))
    Forge(early, forge.key).edit(lambda m: m.update(round=1, sequence=3))
    return early
