"""A bundle that says its blends average a tensor that it does not have."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("averaged names",)
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(averaged=["0.running_mean"]))
