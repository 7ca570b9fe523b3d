"""An approval with a line end behind it."""

from alx.errors import MalformedError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = MalformedError
EXIT = 13
WORDS = ("the approval is not written as the format says",)
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    path = officers.file(forge, 1)
    path.write_bytes(path.read_bytes() + b"\n")
