"""A closing with a file of weights."""

from pathlib import Path

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 40
ERROR = MalformedError
EXIT = 13
WORDS = ("data/c0000-p0000.safetensors.zst", "only one of")
STAGE = ("closing", "learner", 2)


def attack(forge: Forge) -> Path:
    (forge.closing.bundle / "data").mkdir()
    (forge.closing.bundle / "data" / "c0000-p0000.safetensors.zst").write_bytes(b"weights")
    forge.closing.sign()
    return forge.closing.bundle
