"""Write north.csv, north-kept.csv, south.csv and new.csv: one set of tumours, as two hospitals would write it.

The measurements and findings are real (scikit-learn's packaged Wisconsin set); patients, dates, devices, and how each
hospital writes its file are made up.
"""

import datetime as dt
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

COLUMNS = ("mean radius", "mean texture", "mean smoothness", "worst concavity")
MISSING = 0.04  # share of cells
KEPT, NEW = 120, 30

data = load_breast_cancer()
at = [list(data.feature_names).index(name) for name in COLUMNS]
rng = np.random.default_rng(0)
rows = []
for number, (values, target) in enumerate(zip(data.data[:, at], data.target, strict=True)):
    cells = [None if rng.random() < MISSING else float(v) for v in values]
    day = dt.date(2021, 1, 1) + dt.timedelta(days=int(rng.integers(0, 1400)))
    rows.append((f"P{number:04d}", *cells, day, rng.choice(["A", "B"]), bool(target == 0)))
order = rng.permutation(len(rows))
new, kept, rest = order[:NEW], order[NEW : NEW + KEPT], order[NEW + KEPT :]
malignant = np.array([rows[i][-1] for i in rest])
here = rng.random(len(rest)) < np.where(malignant, 0.2, 0.8)


def german(value, digits):
    return "-9" if value is None else f"{value:.{digits}f}".replace(".", ",")


def north(indices):
    lines = ["# Klinik Nord, Export", "# nur für die Studie", "Patient;Radius;Textur;Glätte;Konkavität;Datum;Gerät;Befund"]
    for patient, radius, texture, smooth, concave, day, device, ill in (rows[i] for i in indices):
        numbers = [german(v, n) for v, n in ((radius, 2), (texture, 2), (smooth, 4), (concave, 4))]
        lines.append(";".join([patient, *numbers, f"{day:%d.%m.%Y}", device, "bösartig" if ill else "gutartig"]))
    return "\n".join(lines) + "\n"


def south(indices, *, labelled=True):
    """No device is written down there; a smoothness that was not measured is 0."""
    lines = ["patient,mean radius,mean texture,mean smoothness,worst concavity,visit" + (",finding" if labelled else "")]
    for patient, radius, texture, smooth, concave, day, _, ill in (rows[i] for i in indices):
        numbers = ["" if v is None else f"{v:g}" for v in (radius, texture)]
        numbers += ["0" if smooth is None else f"{smooth:g}", "" if concave is None else f"{concave:g}"]
        lines.append(",".join([patient, *numbers, f"{day}", *(["malignant" if ill else "benign"] if labelled else [])]))
    return "\n".join(lines) + "\n"


Path("north.csv").write_text(north(rest[here]), encoding="latin-1")
Path("north-kept.csv").write_text(north(kept), encoding="latin-1")
Path("south.csv").write_text(south(rest[~here]), encoding="utf-8")
Path("new.csv").write_text(south(new, labelled=False), encoding="utf-8")
