"""A blend whose recipe is another than what it was made by; it would never be chosen."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("blend 3.999+0.5", "is another model")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.blend(lambda c: c["blend"].update(own=3.999))
    forge.blend(lambda c: c.update(loss=1e9))
