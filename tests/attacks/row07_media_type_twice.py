"""A good signature file with a key given twice."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("'mediaType' twice",)


def attack(forge: Forge) -> None:
    path = forge.path("round.sig")
    path.write_bytes(path.read_bytes().replace(b'"mediaType"', b'"mediaType": "x", "mediaType"', 1))
