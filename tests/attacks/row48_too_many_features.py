"""Moments of more features than are solved for."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("features",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["moments"].update(features=4097))
