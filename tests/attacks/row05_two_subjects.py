"""Two subjects."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("subject",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s.update(subject=s["subject"] * 2))
