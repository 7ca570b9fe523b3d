"""A blend of version 1 that is chosen, and whose weights are the sender's own."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("blend 0.5+0.5", "is another model")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    steps = len([c for c in forge.manifest()["candidates"] if c["step"] is not None])
    forge.older(lambda flats: flats.__setitem__(steps, flats[1]))
    forge.edit(lambda m: m["candidates"][steps].update(loss=0.0))
