"""Losses so large that the noise in the receiver's own choice would be rounded away."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 13
ERROR = MalformedError
EXIT = 13
WORDS = ("t=0", "1.38351e+19", "40 samples of at most 1.1 each")
STAGE = ("private", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: [c.update(loss=1.5 * 2.0**63) for c in m["candidates"]])
