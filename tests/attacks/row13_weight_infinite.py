"""A weight that is infinite."""

import numpy as np

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 13
ERROR = NotFiniteError
EXIT = 13
WORDS = ("t=4", "tensor '2.weight'", "NaN or infinity")


def attack(forge: Forge) -> None:
    at = next(first for tensor, first, _ in forge.layout.spans() if tensor.name == "2.weight")

    def poison(states: list[bytearray]) -> None:
        states[2][at : at + 4] = np.float32(np.inf).tobytes()

    forge.restate(poison)
