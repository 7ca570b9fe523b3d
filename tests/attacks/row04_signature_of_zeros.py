"""A signature of zeros."""

from alx.errors import TrustError
from tests.forge import Forge

FAULT = 4
ERROR = TrustError
EXIT = 11
WORDS = ("does not verify",)
HINT = "again"


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d["dsseEnvelope"]["signatures"][0].update(sig="AAAA"))
