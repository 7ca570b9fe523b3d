"""A table as hospitals have them, made up: everything at once, for three sites, from a seed."""

import random
from pathlib import Path

TABLE = """\
delimiter = ";"
decimal = ","
thousands = "."
encoding = "latin-1"
skip = 1
comment = "#"
missing = ["-9"]
missing_in = { chol = ["0"] }
rename = { Alter = "age", "Größe" = "height" }
values = { sex = { W = "female", M = "male" } }
dates = { visit = "%d.%m.%Y" }
"""
COLUMNS = """\
[columns]
label = "num"
classes = { no = ["0"], yes = ["1", "2", "3", "4"] }
ids = ["patient"]
[columns.numeric]
age = { mean = 50, std = 10 }
height = { mean = 1.7, std = 0.1, missing = 1.7 }
chol = { mean = 200, std = 50, missing = 200, indicator = true }
platelets = { mean = 250000, std = 50000 }
[columns.date.visit]
since = 2020-01-01
unit = "years"
[columns.categorical.sex]
values = ["female", "male"]
[columns.categorical.country]
values = ["DE", "NA"]
missing = "zeros"
indicator = true
"""


def row(number: int, rng: random.Random, *, chol: bool) -> str:
    """One patient; ill are more often old and with a high cholesterol."""
    age = rng.randint(30, 80)
    level = rng.randint(120, 330)
    ill = 0 if age + level / 5 + rng.gauss(0, 5) < 105 else rng.randint(1, 4)
    thousands = rng.randint(150, 350)
    cells = [
        f"P{number:04}",
        str(age),
        rng.choice([f"1,{rng.randint(50, 99)}", "-9", ""]),
        *([str(level) if rng.random() < 0.8 else "0"] if chol else []),
        f"{thousands}.{rng.randint(0, 999):03}",
        f"{rng.randint(1, 28):02}.{rng.randint(1, 12):02}.{rng.randint(2019, 2024)}",
        rng.choice("WM"),
        rng.choice(["DE", "NA", ""]),
        str(ill),
    ]
    return ";".join(cells)


def write(folder: Path, rows: int = 100, seed: int = 0) -> list[Path]:
    """Three sites' tables; the last has no column chol."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    paths = []
    for site in range(3):
        chol = site < 2
        head = f"patient;Alter;Größe;{'chol;' if chol else ''}platelets;visit;sex;country;num"
        lines = ["Auszug aus dem Archiv", "# Stand: März", ";;;", head, "# folgen die Kranken"]
        lines += [row(site * rows + i, rng, chol=chol) for i in range(rows)]
        paths.append(folder / f"site{site}.csv")
        paths[-1].write_bytes(("\r\n".join(lines) + "\r\n").encode("latin-1"))
    return paths
