"""A sentence with a terminal's controls where the time of a restoration has to be."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("restored.at",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m.update(restored={"how": "backup", "at": "\x1b[2Jcall +1 555 0100", "round": 1}))
