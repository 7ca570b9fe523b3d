"""Another content for the round imported last."""

from alx.errors import ForkError
from tests.forge import Forge

FAULT = 9
ERROR = ForkError
EXIT = 16
WORDS = ("round 1", "different one", "sealed the round twice")
HINT = "stop here"
STAGE = ("answered", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][0].update(loss=1.5))
