"""A letter of the manifest written as its number."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("manifest.json", "one form")


def attack(forge: Forge) -> None:
    forge.manifest_bytes(forge.path("manifest.json").read_bytes().replace(b"alx-bundle", rb"\u0061lx-bundle", 1))
