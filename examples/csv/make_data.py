"""Write learner.csv, provider.csv and kept.csv; a few cells are left empty, and a column of categories is made up."""

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

EMPTY = 0.03  # share of empty cells
COLUMNS = ("mean radius", "mean texture", "mean smoothness", "worst concavity")

data = load_breast_cancer()
at = [list(data.feature_names).index(name) for name in COLUMNS]
rng = np.random.default_rng(0)
rows = []
for values, target in zip(data.data[:, at], data.target, strict=True):
    cells = [f"{value:g}" for value in values]
    for column in (0, 1):
        if rng.random() < EMPTY:
            cells[column] = ""
    scanner = rng.choice(["north", "south", "mobile", ""])
    rows.append([*cells, scanner, str(data.target_names[target])])
order = rng.permutation(len(rows))
kept, rest = order[:100], order[100:]
benign = np.array([rows[i][-1] == "benign" for i in rest])
here = rng.random(len(rest)) < np.where(benign, 0.8, 0.2)
for name, chosen in (("learner", rest[here]), ("provider", rest[~here]), ("kept", kept)):
    with Path(f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "scanner", "diagnosis"])
        writer.writerows(rows[i] for i in chosen)
