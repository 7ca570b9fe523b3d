"""A loss of 300,000 decimals, which hold a data set."""

from alx.errors import MalformedError
from tests.forge import Forge, form

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("manifest.json", "one form")


def attack(forge: Forge) -> None:
    loss = form(forge.manifest()["candidates"][1]["loss"])
    forge.manifest_bytes(forge.path("manifest.json").read_bytes().replace(loss, loss + b"0123456789" * 30_000, 1))
