"""A closing that is a bundle too."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("manifest.json", "only one of")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    (forge.closing.bundle / "manifest.json").write_bytes(forge.path("manifest.json").read_bytes())
    forge.closing.sign()
    return forge.closing.bundle
