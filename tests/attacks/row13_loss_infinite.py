"""An infinite loss, by its name."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 13
ERROR = MalformedError
EXIT = 13
WORDS = ("Infinity",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][1].update(loss=float("inf")))
