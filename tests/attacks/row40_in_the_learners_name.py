"""A closing by the provider that says it is the learner's."""

from pathlib import Path

from alx.errors import PeerError
from tests.forge import Forge

FAULT = 40
ERROR = PeerError
EXIT = 15
WORDS = ("sender's role is learner",)
HINT = "this site"
STAGE = ("closing", "provider", 2)


def attack(forge: Forge) -> Path:
    forge.closing.sign()
    return forge.closing.bundle
