"""A signature that is not base64."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("base64",)


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d["dsseEnvelope"]["signatures"][0].update(sig="?"))
