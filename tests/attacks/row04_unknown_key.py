"""Signed with a key that nobody knows."""

from cryptography.hazmat.primitives.asymmetric import ec

from alx.errors import TrustError
from tests.forge import Forge

FAULT = 4
ERROR = TrustError
EXIT = 11
WORDS = ("signed with the key", "expected")
HINT = "pinned peer"


def attack(forge: Forge) -> None:
    Forge(forge.bundle, ec.generate_private_key(ec.SECP256R1())).sign()
