"""Write data/learner, data/provider and data/kept: PNG files, a folder a class; the learner has no `three`."""

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

CLASSES = ("zero", "one", "two", "three")
SHARES = {"learner": (0.7, 0.7, 0.1, 0.0), "provider": (0.1, 0.1, 0.7, 0.8), "kept": (0.2, 0.2, 0.2, 0.2)}

digits = load_digits()
rng = np.random.default_rng(0)
for label, name in enumerate(CLASSES):
    mine = rng.permutation(np.flatnonzero(digits.target == label))
    at = 0
    for side, shares in SHARES.items():
        folder = Path("data", side, name)
        count = int(shares[label] * len(mine))
        for i in mine[at : at + count]:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.round(digits.images[i] * (255 / 16)).astype(np.uint8)).save(folder / f"{i:04}.png")
        at += count
