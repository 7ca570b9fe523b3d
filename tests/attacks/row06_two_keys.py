"""A signature that names another key than the file around it."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("names two keys: 'x'",)


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d["dsseEnvelope"]["signatures"][0].update(keyid="x"))
