"""Write learner.csv and provider.csv, the younger patients mostly here, the older mostly there; and own.csv, all of them."""

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

data = load_diabetes()
inputs = data.data * np.sqrt(len(data.data))  # comes with columns of length 1
course = (data.target - 150) / 75
rng = np.random.default_rng(0)
here = rng.random(len(course)) < np.where(inputs[:, 0] < 0, 0.8, 0.2)
for name, mine in (("learner", here), ("provider", ~here), ("own", here | ~here)):
    with Path(f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*data.feature_names, "course"])
        writer.writerows([f"{value:.5f}" for value in row] for row in np.column_stack([inputs, course])[mine])
