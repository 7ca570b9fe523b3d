"""A description told to people: all that stands in it, and nothing that does not.

Knows the document; reads no data.
"""

from collections.abc import Iterator, Mapping

from alx.bundle.description import FEW, HIDDEN, Cell, Description, Labels, Quantiles, Told
from alx.errors import count, escape

A_LINE = 20  # names told on one


def words(told: Description) -> list[str]:
    """All of it, line by line."""
    shape = " x ".join(map(str, told.shape)) or "1"
    return [
        f"plan {told.plan}",
        f"{count(told.samples, 'sample')}, each of shape {shape}; counts below {told.least} are not told",
        *_labels(told.labels, told.least),
        *(line for name, column in told.columns.items() for line in _column(name, column, told.least)),
        *(f"picture {what}: {_quantiles(quantiles)}" for what, quantiles in (told.pictures or {}).items()),
    ]


def legend(told: Description) -> list[str]:
    """What the words for what is not told mean, where one of them stands there."""
    columns = [cell for column in told.columns.values() for cell in (column.missing, *(column.values or {}).values())]
    hidden = HIDDEN in (*(told.labels.classes or {}).values(), *(told.labels.marks or {}).values(), *columns)
    ranges = told.pictures or told.labels.numbers or any(c.quantiles for c in told.columns.values())
    return [
        *(
            [f"hidden: a count below {told.least} would follow from it, or there are too few rows to tell any"]
            if hidden
            else []
        ),
        *(
            [f"about 3 (5%): 5% are at most 3, rounded so that at least {told.least} rows have that number"]
            if ranges
            else []
        ),
    ]


def _labels(labels: Labels, least: int) -> Iterator[str]:
    if labels.classes is not None:
        yield from _lines("classes", labels.classes, least)
    elif labels.marks is not None:
        yield from _lines("samples that have the label", labels.marks, least)
    elif labels.numbers is not None:
        yield from (f"{escape(name)}: {_quantiles(quantiles)}" for name, quantiles in labels.numbers.items())
    else:
        yield "labels: nothing is told, as the plan does not say which classes there are"


def _column(name: str, told: Told, least: int) -> Iterator[str]:
    first = f"column '{escape(name)}'"
    missing = f"{_cell(told.missing, least)} missing"
    if told.values is None:
        unit = f", in {escape(told.unit)}" if told.unit else ""
        yield f"{first}: {missing}; {_quantiles(told.quantiles or {})}{unit if told.quantiles else ''}"
    else:
        yield from _lines(f"{first}: {missing}", told.values, least)


def _lines(what: str, counts: Mapping[str, Cell], least: int) -> Iterator[str]:
    told = [f"{escape(name)}: {_cell(cell, least)}" for name, cell in counts.items()]
    for at in range(0, len(told), A_LINE):
        yield f"{what}: {', '.join(told[at : at + A_LINE])}"


def _cell(cell: Cell, least: int) -> str:
    return f"fewer than {least}" if cell == FEW else str(cell)


def _quantiles(quantiles: Quantiles) -> str:
    told = ", ".join(f"{value:.12g} ({float(share):.0%})" for share, value in quantiles.items())
    return f"about {told}" if told else "too few rows to tell its range"
