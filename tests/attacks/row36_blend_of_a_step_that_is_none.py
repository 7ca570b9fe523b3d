"""A blend of a step that the receiver never took."""

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 36
ERROR = PeerError
EXIT = 15
WORDS = ("step 5 of our bundle",)
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: next(c for c in m["candidates"] if c["blend"])["blend"].update(peer_step=5))
