"""Under another plan, named by it."""

from pathlib import Path

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 10
ERROR = PeerError
EXIT = 15
WORDS = ("plan is 0000", "expected")
HINT = "this plan"


def attack(forge: Forge) -> Path:
    named = forge.bundle.rename(forge.bundle.with_name("alx-00000000-r001-learner"))
    Forge(named, forge.key).edit(lambda m: m.update(plan="0" * 64))
    return named
