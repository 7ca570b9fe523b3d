"""A file listed by its MD5."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 6
ERROR = MalformedError
EXIT = 13
WORDS = ("algorithm",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"]["resources"][0].update(algorithm="md5"))
