"""Fewer snapshots than signed files."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("only one of manifest and signature",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"].pop())
