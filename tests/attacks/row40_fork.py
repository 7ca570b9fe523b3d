"""A second, different closing."""

from pathlib import Path

from alx.errors import ForkError
from tests.forge import Forge

FAULT = 40
ERROR = ForkError
EXIT = 16
WORDS = ("closing after round 2", "different one", "sealed the round twice")
HINT = "stop here"
STAGE = ("closed", "learner", 2)


def attack(forge: Forge) -> Path:
    forge.closing.edit(lambda m: m["start"].update(global_loss=m["start"]["global_loss"] + 1))
    return forge.closing.bundle
