"""As many faults as the most values can have."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("fields are missing",)
BOMB = True


def attack(forge: Forge) -> None:
    forge.sign(lambda s: s["predicate"].update(resources=[{}] * 199_000))
