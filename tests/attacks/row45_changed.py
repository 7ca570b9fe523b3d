"""An officer's approval of another bundle, with this one's digest put in."""

import json

from alx.errors import TrustError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = TrustError
EXIT = 11
WORDS = ("the approval does not verify with the key",)
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    right = json.loads(officers.file(forge, 1).read_bytes())
    other = officers.made(forge, officers.KEYS[1], "0" * 64)
    document = json.loads(other.data) | {"payload": right["payload"]}
    officers.file(forge, 1).write_bytes(json.dumps(document, indent=1).encode())
