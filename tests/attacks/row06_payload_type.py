"""Another payload type."""

import json

from alx.errors import MalformedError
from tests.forge import Forge, envelope, statement

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("payloadType",)


def attack(forge: Forge) -> None:
    payload = json.dumps(statement(forge.bundle.name, forge.resources())).encode()
    forge.put(envelope(payload, forge.key, "application/json"))
