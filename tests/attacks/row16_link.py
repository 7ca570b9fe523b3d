"""A symbolic link to the very file."""

from alx.errors import ForbiddenFileError
from tests.forge import Forge

FAULT = 16
ERROR = ForbiddenFileError
EXIT = 20
WORDS = ("'data/c0001-p0000.safetensors.zst' is a symbolic link",)


def attack(forge: Forge) -> None:
    kept = forge.bundle.parent / "kept"
    forge.path("data/c0001-p0000.safetensors.zst").rename(kept)
    forge.path("data/c0001-p0000.safetensors.zst").symlink_to(kept)
