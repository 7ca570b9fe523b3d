"""A negative loss where the objective has none."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 13
ERROR = MalformedError
EXIT = 13
WORDS = ("t=0", "-1.0", "never below 0")


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][0].update(loss=-1.0))
