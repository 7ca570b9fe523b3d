"""A layer that the learner says it has solved for, alone."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("solved for", "provider's first bundle")
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][-1].update(step=None, solved=True))
