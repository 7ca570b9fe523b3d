"""An approval larger than any is."""

from alx.errors import LimitError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = LimitError
EXIT = 14
WORDS = ("may have 4096",)
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    officers.file(forge, 1).write_bytes(b" " * 5000)
