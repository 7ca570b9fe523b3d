"""The roles exchanged."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 10
ERROR = MalformedError
EXIT = 13
WORDS = ("sequence",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: (m["sender"].update(role="provider"), m["receiver"].update(role="learner")))
