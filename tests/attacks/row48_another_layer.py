"""Moments of more features than the layer has."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("moments are not those of the one layer",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["moments"].update(features=25))
