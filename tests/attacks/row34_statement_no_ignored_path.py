"""Nothing is left out of the signature, not even itself."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 34
ERROR = MalformedError
EXIT = 13
WORDS = ("leaves out 0 paths",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"]["serialization"].update(ignore_paths=[]))
