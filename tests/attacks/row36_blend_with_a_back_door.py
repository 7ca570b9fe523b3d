"""A blend that is chosen, and whose digest is that of the sender's own snapshot."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("blend 0.5+0.5", "is another model")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.blend(lambda c: c.update(loss=0.0, state=forge.manifest()["candidates"][1]["state"]))
