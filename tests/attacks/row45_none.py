"""The approvals stayed at home."""

import shutil

from alx.errors import TrustError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = TrustError
EXIT = 11
WORDS = ("0 of 2 approvals are there",)
HINT = "ask the peer"
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    shutil.rmtree(officers.beside(forge.bundle))
