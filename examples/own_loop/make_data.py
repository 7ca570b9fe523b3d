"""Write learner.npz and provider.npz: is it an eight? The learner has few, the provider pictures of a faint scanner."""

import numpy as np
from sklearn.datasets import load_digits

KEPT = 300
EIGHT = 8
FAINT = 0.5  # share of pictures that are
FEW = 0.2  # share of the eights that the learner has

digits = load_digits()
rng = np.random.default_rng(0)
order = rng.permutation(len(digits.target))
images = np.round(digits.images[order] * (255 / 16)).astype(np.uint8)  # pixels come as 0 to 16
labels = (digits.target[order] == EIGHT).astype(np.int64)
faint = rng.random(len(labels)) < FAINT
images[faint] //= 2
mine = np.where(labels == 1, rng.random(len(labels)) < FEW, ~faint)
mine[:KEPT], theirs = False, ~mine
theirs[:KEPT] = False
for name, own in (("learner", mine), ("provider", theirs)):
    np.savez(
        f"{name}.npz",
        train_images=images[own],
        train_labels=labels[own],
        test_images=images[:KEPT],
        test_labels=labels[:KEPT],
    )
