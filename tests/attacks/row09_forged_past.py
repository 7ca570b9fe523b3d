"""An older round, signed anew under another digest."""

from alx.errors import ForkError
from tests.forge import Forge

FAULT = 9
ERROR = ForkError
EXIT = 16
WORDS = ("round 1", "sealed the round twice")
HINT = "ask the peer"
STAGE = ("finished", "provider", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][1].update(loss=m["candidates"][1]["loss"] + 1))
