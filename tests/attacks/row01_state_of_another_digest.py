"""A snapshot decodes to a state whose digest is not the signed one."""

from alx.errors import CorruptError
from tests.forge import Forge

FAULT = 1
ERROR = CorruptError
EXIT = 12
WORDS = ("t=4: the decoded state is not the one",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][2].update(state="0" * 64))
