"""Moments other than those whose digest the manifest has."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 48
ERROR = CorruptError
EXIT = 12
WORDS = ("moments", "digest")
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["moments"].update(state="0" * 64))
