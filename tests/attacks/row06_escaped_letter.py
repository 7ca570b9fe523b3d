"""The same signature file with a letter written as an escape."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("one item a line",)


def attack(forge: Forge) -> None:
    path = forge.path("round.sig")
    path.write_bytes(path.read_bytes().replace(b"mediaType", rb"\u006dediaType"))
