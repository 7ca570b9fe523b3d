"""A certificate instead of a key."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("publicKey",)


def attack(forge: Forge) -> None:
    forge.redocument(lambda d: d.update(verificationMaterial={"certificate": {"rawBytes": ""}}))
