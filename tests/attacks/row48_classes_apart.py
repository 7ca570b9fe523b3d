"""Classes whose means are further apart than the squares of all samples allow."""

import numpy as np

from alx.errors import MalformedError
from tests.forge import Forge

FAULT = 48
ERROR = MalformedError
EXIT = 13
WORDS = ("within the classes",)
STAGE = ("told", "learner", 1)


def attack(forge: Forge) -> None:
    def change(by_class: np.ndarray, second: np.ndarray) -> None:
        most = np.sqrt(by_class[-1, 0] * second[0])
        by_class[0, :2] = most, by_class[0].sum() - most

    forge.moments(change)
