"""What a model is worth on samples kept apart, told to people, beside what is had without a model.

Knows numbers by name; knows no model.
"""

from collections.abc import Mapping, Sequence

from alx.errors import escape
from alx.report import columns

Values = Mapping[str, float | None]
EACH = (" of class ", " of label ")  # in the name of a number of one of them
FEW = ("AUC", "RMSE")  # beside the score, in one line
NARROW = ("no model", "AUC", "sensitivity", "specificity", "RMSE", "MAE")  # of a group: what a screen has room for
SAMPLES = "samples"  # of a group
LONGEST = 40  # letters of a name on the screen
MAX_CLASSES = 10  # of a confusion matrix on the screen: more are too wide for it


def line(values: Values, majority: Values) -> str:
    """`accuracy 0.9310 (0.8490 without a model), AUC 0.9120`."""
    first, *others = values
    told = [f"{first} {_number(values[first])}"]
    if first in majority:
        told[0] += f" ({_number(majority[first])} without a model)"
    told += [f"{name} {_number(values[name])}" for name in others if name in FEW and values[name] is not None]
    return ", ".join(told)


def table(
    values: Values,
    majority: Values,
    groups: Mapping[str, Mapping[str, Values]],
    before: Values | None = None,
    *,
    confusion: Mapping[str, Sequence[int]] | None = None,
    whole: bool = False,
    head: str = "on samples kept apart",
) -> list[str]:
    """Every number by name, and below the same by group.

    Args:
        values: of the model.
        majority: of the best answer that is the same for every sample.
        groups: by column and its value.
        before: of the model that was chosen before, or None.
        confusion: by true class, how many were answered with each class, in the same order.
        whole: those of one class, or one label, too, and every number of a group.
        head: over the names: which samples these are.
    """
    shown = [name for name in values if whole or not any(each in name for each in EACH)]
    heads = [head, "now", *(["before"] if before is not None else []), *(["no model"] if majority else [])]
    rows = [
        [
            escape(name, LONGEST),
            _number(values[name]),
            *([_number(before.get(name))] if before is not None else []),
            *([_number(majority.get(name))] if majority else []),
        ]
        for name in shown
    ]
    out = columns.table(heads, rows)
    for column, each in groups.items():
        first, known = next(iter(values)), {n: None for v in each.values() for n, x in v.items() if x is not None}
        names = [n for n in known if n != SAMPLES and (whole or n == first or n in NARROW)]
        cells = [
            [escape(value, LONGEST) or "(empty)", f"{numbers[SAMPLES]:.0f}", *(_number(numbers.get(n)) for n in names)]
            for value, numbers in each.items()
        ]
        out += ["", *columns.table([escape(column, LONGEST), SAMPLES, *names], cells)]
    if confusion and (whole or len(confusion) <= MAX_CLASSES):
        names = [escape(name, LONGEST) for name in confusion]
        rows = [[name, *(f"{n}" for n in row)] for name, row in zip(names, confusion.values(), strict=True)]
        out += ["", *columns.table(["true class, by answer", *names], rows)]
    return out


def _number(value: float | None) -> str:
    return "-" if value is None else columns.number(value, below=1e4)
