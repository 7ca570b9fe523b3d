"""A closing of another exchange."""

from pathlib import Path

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 40
ERROR = PeerError
EXIT = 15
WORDS = ("plan is 0000", "expected")
HINT = "this plan"
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    named = forge.closing.bundle.rename(forge.closing.bundle.with_name("alx-00000000-r002-closing"))
    Forge(named, forge.key).edit(lambda m: m.update(plan="0" * 64))
    return named
