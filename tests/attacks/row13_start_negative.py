"""A negative global loss to have started from."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 13
ERROR = MalformedError
EXIT = 13
WORDS = ("claimed global loss is -1.0", "never below 0")
STAGE = ("answered", "provider", 1)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["start"].update(global_loss=-1.0))
