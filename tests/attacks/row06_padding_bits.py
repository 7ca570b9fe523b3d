"""A signature whose base64 has bits set that decode to nothing."""

import base64

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("does not encode back",)


def attack(forge: Forge) -> None:
    while not (sig := forge.document()["dsseEnvelope"]["signatures"][0]["sig"]).endswith("="):
        forge.sign()  # one signature in three needs no padding
    end = len(sig.rstrip("="))
    other = sig[: end - 1] + chr(ord(sig[end - 1]) + 1) + sig[end:]  # the last of these digits is one of AEIM…, AQgw
    assert base64.b64decode(other) == base64.b64decode(sig)
    forge.redocument(lambda d: d["dsseEnvelope"]["signatures"][0].update(sig=other))
