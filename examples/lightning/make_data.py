"""Write learner.npz and provider.npz: breast tumours, malignant or not; large ones mostly here, small ones mostly there."""

import numpy as np
from sklearn.datasets import load_breast_cancer

KEPT = 150
MOSTLY = 0.9

data = load_breast_cancer()
rng = np.random.default_rng(0)
order = rng.permutation(len(data.target))
rows, labels = data.data[order], data.target[order]
large = rows[:, 0] > np.median(rows[:, 0])  # the mean radius
rows = ((rows - rows.mean(0)) / rows.std(0)).astype(np.float32)
here = rng.random(len(labels)) < np.where(large, MOSTLY, 1 - MOSTLY)
for name, mine in (("learner", here), ("provider", ~here)):
    own = mine.copy()
    own[:KEPT] = False
    np.savez(f"{name}.npz", train_rows=rows[own], train_labels=labels[own], test_rows=rows[:KEPT], test_labels=labels[:KEPT])
