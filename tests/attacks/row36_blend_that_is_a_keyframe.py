"""A blend that is said to be a keyframe, from version 2 on."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 36
ERROR = MalformedError
EXIT = 13
WORDS = ("keyframes do not stand",)
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    forge.blend(lambda c: c.update(keyframe=True))
