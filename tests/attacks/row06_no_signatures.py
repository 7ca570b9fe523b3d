"""No signature in the list."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("signatures", "at least 1")


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d["dsseEnvelope"].update(signatures=[]))
