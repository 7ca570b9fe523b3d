"""Write learner.npz and provider.npz: wines of the first grower mostly here, of the others mostly there."""

import numpy as np
from sklearn.datasets import load_wine

wine = load_wine()
rng = np.random.default_rng(0)
order = rng.permutation(len(wine.target))
labels = wine.target[order]
# Rough scales that both sites can know beforehand; neither tells the other its own mean.
middle = np.array([13, 2, 2.4, 20, 100, 2.3, 2, 0.4, 1.6, 5, 1, 2.6, 750])
width = np.array([1, 1, 0.3, 3, 15, 0.6, 1, 0.1, 0.6, 2.5, 0.25, 0.7, 300])
inputs = ((wine.data[order] - middle) / width).astype(np.float32)
kept = 40
here = rng.random(len(labels)) < np.where(labels == 0, 0.9, 0.15)
for name, mine in (("learner", here), ("provider", ~here)):
    mine[:kept] = False
    np.savez(
        f"{name}.npz",
        train_images=inputs[mine],
        train_labels=labels[mine],
        test_images=inputs[:kept],
        test_labels=labels[:kept],
    )
