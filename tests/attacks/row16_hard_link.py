"""A hard link to another file."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("is a hard link",)


def attack(forge: Forge) -> None:
    kept = forge.bundle.parent / "kept"
    forge.path("data/c0001-p0000.safetensors.zst").rename(kept)
    forge.path("data/c0001-p0000.safetensors.zst").hardlink_to(kept)
