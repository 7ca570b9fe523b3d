"""What a model is worth on samples kept apart, told to people, beside what is had without a model.

Knows numbers by name; knows no model.
"""

from collections.abc import Mapping, Sequence

from alx.errors import escape
from alx.report import columns

Values = Mapping[str, float | None]
EACH = (" of class ", " of label ")  # in the name of a number of one of them
COST = "mean cost"
FEW = ("AUC", "RMSE", COST)  # beside the score, in one line
# of a group: what a screen has room for; every accuracy, as sensitivity and specificity are of the answers of one of them
NARROW = ("no model", "accuracy", "AUC", "sensitivity", "specificity", "RMSE", "MAE", COST)
SAMPLES, POSITIVES = "samples", "positives"  # of a group
COUNTS = (SAMPLES, POSITIVES)
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
        order = [first, "no model", *values]
        names = [n for n in sorted(known, key=lambda n: order.index(n) if n in order else len(order)) if n not in COUNTS]
        names = [n for n in names if whole or n == first or n.startswith(NARROW)]
        counts = [n for n in COUNTS if n in known]
        cells = [
            [
                escape(value, LONGEST) or "(empty)",
                *(_count(numbers.get(n)) for n in counts),
                *(_number(numbers.get(n)) for n in names),
            ]
            for value, numbers in each.items()
        ]
        out += ["", *columns.table([escape(column, LONGEST), *counts, *names], cells)]
    if confusion and (whole or len(confusion) <= MAX_CLASSES):
        names = [escape(name, LONGEST) for name in confusion]
        rows = [[name, *(f"{n}" for n in row)] for name, row in zip(names, confusion.values(), strict=True)]
        out += ["", *columns.table(["true class, by answer", *names], rows)]
    return out


def looks(
    values: Values, majority: Values, before: Values | None = None, confusion: Mapping[str, Sequence[int]] | None = None
) -> list[str]:
    """What of these numbers deserves a look; see `table`."""
    first, out = next(iter(values), ""), []
    told = [(name, values.get(name), majority.get(name)) for name in dict.fromkeys((first, COST))]
    out += [
        f"LOOK: {name} {_number(now)} is worse than {_number(bare)}, which the same answer for everybody has"
        for name, now, bare in told
        if now is not None and bare is not None and (now > bare if name == COST else now < bare) and _differ(now, bare)
    ]
    now, then = values.get(COST), None if before is None else before.get(COST)
    if now is not None and then is not None and now > then and _differ(now, then):
        out.append(f"LOOK: {COST} got worse since the last selection, from {_number(then)} to {_number(now)}")
    missed = [(name, sum(row)) for i, (name, row) in enumerate((confusion or {}).items()) if sum(row) and not row[i]]
    of = ", ".join(f"{escape(name, LONGEST)} ({n})" for name, n in missed[:MAX_CLASSES])
    more = f" and of {len(missed) - MAX_CLASSES} more classes" if len(missed) > MAX_CLASSES else ""
    return [*out, *([f"LOOK: no sample of {of}{more} was answered rightly"] if missed else [])]


def _differ(one: float, other: float) -> bool:
    """Whether two numbers are told apart where they are shown."""
    return _number(one) != _number(other)


def _count(value: float | None) -> str:
    return _number(value) if value is None or not value.is_integer() else f"{value:.0f}"


def _number(value: float | None) -> str:
    return "-" if value is None else columns.number(value, below=1e4)
