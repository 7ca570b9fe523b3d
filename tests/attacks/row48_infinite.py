"""A moment that is infinite."""

import numpy as np

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 48
ERROR = NotFiniteError
EXIT = 13
WORDS = ("moments", "by_class", "NaN or infinity")
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.moments(lambda by_class, _: by_class.__setitem__((0, 0), np.inf))
