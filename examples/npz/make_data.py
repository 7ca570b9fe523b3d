"""Write learner.npz and provider.npz: the digits 0 to 4 mostly here, 5 to 9 mostly there, from two scanners."""

import numpy as np
from sklearn.datasets import load_digits

HALF = 5  # digits below it are the learner's
MINOR = 0.05  # share of the other side's digits that a side holds too
KEPT = 300
FAINT = 3  # the old scanner's pictures have a third of the contrast

digits = load_digits()
rng = np.random.default_rng(0)
order = rng.permutation(len(digits.target))
images = np.round(digits.images[order] * (255 / 16)).astype(np.uint8)  # pixels come as 0 to 16
labels = digits.target[order]
scanner = rng.choice(["new", "old"], len(labels))
images[scanner == "old"] //= FAINT
small = labels < HALF
for name, own in (("learner", small), ("provider", ~small)):
    mine = own | (rng.random(len(labels)) < MINOR)
    mine[:KEPT] = False
    np.savez(
        f"{name}.npz",
        train_images=images[mine],
        train_labels=labels[mine],
        test_images=images[:KEPT],
        test_labels=labels[:KEPT],
        test_scanner=scanner[:KEPT],
    )
