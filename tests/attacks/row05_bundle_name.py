"""Signed under another bundle's name, with a terminal's escape in it."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = (r"alx-00000000-r009-learner\x1b",)


def attack(forge: Forge) -> None:
    forge.sign(name="alx-00000000-r009-learner\x1b")
