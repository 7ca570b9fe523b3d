"""The fields of the manifest in another order."""

from alx.errors import MalformedError
from tests.forge import Forge, form

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("manifest.json", "one form")


def attack(forge: Forge) -> None:
    forge.manifest_bytes(form(dict(reversed(forge.manifest().items()))))
