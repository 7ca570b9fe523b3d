"""Two signatures."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("signatures", "at most 1")


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d["dsseEnvelope"].update(signatures=d["dsseEnvelope"]["signatures"] * 2))
