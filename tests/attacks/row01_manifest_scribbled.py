"""The manifest is no JSON any more; unsigned bytes reach no parser, so it is not called malformed."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 1
ERROR = CorruptError
EXIT = 12
WORDS = ("'manifest.json' differs",)
HINT = "copy"


def attack(forge: Forge) -> None:
    path = forge.path("manifest.json")
    path.write_bytes(b"{" * path.stat().st_size)
