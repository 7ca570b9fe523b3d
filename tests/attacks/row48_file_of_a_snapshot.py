"""Moments whose file is a snapshot's."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("files of the moments",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["moments"].update(files=m["candidates"][0]["files"]))
