"""An infinite loss, as a number that overflows."""

import json

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 13
ERROR = NotFiniteError
EXIT = 13
WORDS = ("the loss of t=4 is inf",)


def attack(forge: Forge) -> None:
    loss = json.dumps(forge.manifest()["candidates"][2]["loss"]).encode()
    forge.manifest_bytes(forge.path("manifest.json").read_bytes().replace(loss, b"1e999"))
