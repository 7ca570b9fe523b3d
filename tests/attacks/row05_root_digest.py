"""A root digest that is not that of the files."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("root digest",)


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["subject"][0]["digest"].update(sha256="0" * 64))
