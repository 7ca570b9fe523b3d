"""A blend by a recipe that steps past all numbers."""

import hashlib

import numpy as np

from alx.errors import NotFiniteError
from tests.forge import Forge

FAULT = 13
ERROR = NotFiniteError
EXIT = 13
WORDS = ("blend 4+0.5", "'0.bias'", "infinity")
STAGE = ("second", "learner", 2)


def attack(forge: Forge) -> None:
    far = np.full(forge.layout.nbytes // 4, 1e38, "<f4").tobytes()
    steps = len([c for c in forge.manifest()["candidates"] if c["step"] is not None])
    forge.restate(lambda flats: flats.__setitem__(steps - 1, bytearray(far)))
    infinite = hashlib.sha256(np.full(forge.layout.nbytes // 4, np.inf, "<f4").tobytes()).hexdigest()
    forge.blend(lambda c: c.update(state=infinite))
    forge.blend(lambda c: c["blend"].update(own=4.0))
