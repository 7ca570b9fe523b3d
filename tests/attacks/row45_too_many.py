"""More approvals than a side has officers."""

from alx.errors import LimitError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = LimitError
EXIT = 14
WORDS = ("more than 16 files",)
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    for i in range(17):
        (officers.beside(forge.bundle) / f"{i}.json").touch()
