"""What a model is worth on samples kept apart, told to people, beside what is had without a model.

Knows numbers by name; knows no model.
"""

from collections.abc import Mapping

from alx.errors import escape
from alx.report import columns

Values = Mapping[str, float | None]
ONE_BY_ONE = " of "  # in the name of a number of one class, or of one label
FEW = ("AUC", "RMSE")  # beside the score, in one line
LONGEST = 40  # of a name on the screen


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
    whole: bool = False,
) -> list[str]:
    """Every number by name, and below the same by group.

    Args:
        values: of the model.
        majority: of the best answer that is the same for every sample.
        groups: by column and its value.
        before: of the model that was chosen before, or None.
        whole: those of one class, or one label, too.
    """
    shown = [name for name in values if whole or ONE_BY_ONE not in name]
    head = ["on samples kept apart", "now", *(["before"] if before is not None else []), *(["no model"] if majority else [])]
    rows = [
        [
            escape(name, LONGEST),
            _number(values[name]),
            *([_number(before.get(name))] if before is not None else []),
            *([_number(majority.get(name))] if majority else []),
        ]
        for name in shown
    ]
    out = columns.table(head, rows)
    for column, each in groups.items():
        names = [n for n in shown if any(v.get(n) is not None for v in each.values())]
        cells = [
            [escape(value, LONGEST) or "(empty)", f"{numbers['samples']:.0f}", *(_number(numbers.get(n)) for n in names)]
            for value, numbers in each.items()
        ]
        out += ["", *columns.table([escape(column, LONGEST), "samples", *names], cells)]
    return out


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}"  # noqa: PLR2004 - wider than its column
