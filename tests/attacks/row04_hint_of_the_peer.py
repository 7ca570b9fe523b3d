"""The pinned key's hint on another key's signature."""

from cryptography.hazmat.primitives.asymmetric import ec

from alx.errors import TrustError
from tests.forge import Forge

FAULT = 4
ERROR = TrustError
EXIT = 11
WORDS = ("does not verify",)
HINT = "again"


def attack(forge: Forge) -> None:
    hint = forge.document()["verificationMaterial"]
    Forge(forge.bundle, ec.generate_private_key(ec.SECP256R1())).sign()
    forge.redocument(lambda d: d.update(verificationMaterial=hint))
