"""A first candidate that is no keyframe."""

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 5
ERROR = MalformedError
EXIT = 13
WORDS = ("keyframe",)


def attack(forge: Forge) -> None:
    forge.edit(lambda m: m["candidates"][0].update(keyframe=False))
