"""A moment that is NaN."""

import numpy as np

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 48
ERROR = NotFiniteError
EXIT = 13
WORDS = ("moments", "second", "NaN or infinity")
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    forge.moments(lambda _, second: second.__setitem__(3, np.nan))
