"""The same signature file in another layout."""

import json

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("one item a line",)


def attack(forge: Forge) -> None:
    forge.put(json.dumps(forge.document()).encode())
