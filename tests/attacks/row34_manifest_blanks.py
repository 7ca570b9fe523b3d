"""Blanks and tabs after the manifest, which hold a data set."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("manifest.json", "one form")


def attack(forge: Forge) -> None:
    forge.manifest_bytes(forge.path("manifest.json").read_bytes() + b" \t \t\t" * 50_000)
