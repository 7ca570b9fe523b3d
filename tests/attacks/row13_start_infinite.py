"""An infinite global loss to have started from."""

import json

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 13
ERROR = NotFiniteError
EXIT = 13
WORDS = ("claimed global loss is inf",)
STAGE = ("answered", "provider", 1)


def attack(forge: Forge) -> None:
    said = forge.manifest()
    said["start"]["global_loss"] = "X"
    forge.manifest_bytes(json.dumps(said).replace('"X"', "1e999").encode())
