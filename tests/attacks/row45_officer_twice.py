"""One officer's approval again, under a second officer's name."""

from alx.errors import MalformedError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = MalformedError
EXIT = 13
WORDS = ("whose file has another name: each counts once",)
HINT = "it should be called"
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    officers.file(forge, 1).write_bytes(officers.file(forge, 0).read_bytes())
