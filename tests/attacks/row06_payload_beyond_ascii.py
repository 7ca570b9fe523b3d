"""A payload beyond ASCII."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("base64",)


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d["dsseEnvelope"].update(payload="\u00e9"))
