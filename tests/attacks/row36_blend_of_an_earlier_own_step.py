"""A blend of another step than the sender's last."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("last snapshot",)
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: next(c for c in m["candidates"] if c["blend"])["blend"].update(own_step=1))
