"""A bundle of version 4 that does not say whether anything is frozen."""

from alx.errors import MalformedError
from tests.forge import Forge, form

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("frozen",)


def attack(forge: Forge) -> None:
    forge.manifest_bytes(form({k: v for k, v in forge.manifest().items() if k != "frozen"}))
