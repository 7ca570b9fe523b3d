"""The peer's key has signed a model for somebody else, with the public tool."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("not an alx bundle",)


def attack(forge: Forge) -> None:
    for path in sorted(forge.bundle.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    forge.path("model.bin").write_bytes(b"weights")
    forge.sign()
