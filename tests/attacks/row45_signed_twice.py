"""An approval with two signatures of one officer."""

import json

from alx.errors import MalformedError
from tests import officers
from tests.forge import Forge

FAULT = 45
ERROR = MalformedError
EXIT = 13
WORDS = ()
STAGE = ("approved", "learner", 1)


def attack(forge: Forge) -> None:
    said = json.loads(officers.file(forge, 1).read_bytes())
    said["signatures"] *= 2
    officers.file(forge, 1).write_bytes(json.dumps(said, indent=1).encode())
