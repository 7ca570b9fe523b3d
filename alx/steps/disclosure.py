"""What of a site's data may be told before an exchange: a description out of a summary, small counts hidden.

Whoever reads it is taken to know the rule below, the plan, and the exact number of samples, as the identity file says
that later. From all of it together, each count that is said to be few may still be any number from 0 to the least one
that is told, and each quantile is shared by that many rows. docs/decisions/0024-describe.md has the argument, and
tests/steps/test_disclosure.py tries every small table. Knows counts; knows no file and no key.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import floor, log10
from typing import TYPE_CHECKING

from alx.bundle.description import FEW, HIDDEN, Cell, Description, Labels, Quantiles, Told
from alx.disclosure import LEAST
from alx.errors import ConfigError, PeerError, UsageError, count
from alx.site.site import Site
from alx.summary import Column, Numbers, Part, Summary, Values

if TYPE_CHECKING:
    from array import array

LOWEST = 5  # what no rule for published tables that is in use goes below
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # no least and no most: each of them is one person's
SUMMED = "to sum losses over"
_LEAST = -300  # power of ten that a number is rounded to at the finest: a float has none much below
_FINEST = 6  # digits of the largest number that a quantile is told with


def refuse_few(site: Site, samples: int, what: str) -> None:
    """A number of so few samples does not leave this site.

    Args:
        site: this site.
        samples: of its own.
        what: they are for, after "samples".

    Raises:
        ConfigError: fewer than this site's least.
    """
    if samples < site.least:
        raise ConfigError(
            f"{count(samples, 'sample')} {what}, expected {site.least} or more",
            "add data; or agree on a lower least under [disclosure] in the plan, on both sides: docs/threat-model.md",
        )


def refuse_few_peers(agreed: int, samples: int) -> None:
    """A peer keeps to the plan's least.

    Raises:
        PeerError: it does not.
    """
    if samples < agreed:
        raise PeerError(
            f"the peer's losses are sums over {count(samples, 'sample')}, expected {agreed} or more by the plan",
            "ask the peer for its identity under the plan's [disclosure], or agree on a lower least, on both sides",
        )


def least(agreed: int, wanted: int | None) -> int:
    """The least count that a description tells.

    Args:
        agreed: the site's least, or that of a draft of the plan.
        wanted: as a person said; None where nobody did.

    Raises:
        UsageError: it is below the one agreed.
    """
    lowest = max(agreed, LOWEST)
    if wanted is not None and wanted < lowest:
        raise UsageError(
            f"--least {wanted} is below {lowest}, which the plan or site.toml has under [disclosure]",
            "take a larger one, or leave it out",
        )
    return lowest if wanted is None else wanted


def described(summary: Summary, plan: str, least: int = LEAST) -> Description:
    """What may be told.

    Args:
        summary: of the site's own data, exact. Nothing is told of the samples kept apart.
        plan: the plan's digest.
        least: counts below it are hidden.

    Raises:
        ConfigError: there are fewer samples than that.
    """
    own = summary.own
    if own.samples < least:
        raise ConfigError(f"the data have {own.samples} samples, and nothing is told of fewer than {least}")
    pictures = summary.pictures
    return Description(
        format="alx-description",
        version=1,
        plan=plan,
        least=least,
        samples=own.samples,
        shape=list(summary.shape),
        labels=_labels(own, least),
        columns={name: _column(column, own.samples, least) for name, column in summary.columns.items()},
        pictures=None
        if pictures is None
        else {"height": _quantiles(pictures.heights, least), "width": _quantiles(pictures.widths, least)},
    )


def cells(counts: Sequence[int], least: int) -> list[Cell]:
    """Counts that add up to a number that is known, with what has to be hidden of them hidden.

    Few are those below `least`. Where there are some, others, the first ones, are hidden with them until those few cannot
    be told from what is left; where there are too few rows for that, all of them are hidden.

    Args:
        counts: in an order that the plan has, not the data.
        least: the least count that is told.
    """
    few = [i for i, n in enumerate(counts) if n < least]
    if not few:
        return list(counts)
    if sum(counts) <= (len(counts) + 1) * least:
        return [HIDDEN] * len(counts)
    out: list[Cell] = [FEW if i in set(few) else n for i, n in enumerate(counts)]
    left, others = sum(counts[i] for i in few), 0
    if least < left <= (least - 1) * (len(few) - 1):
        return out
    for i, n in enumerate(counts):
        if others and left > (others + 1) * least:
            break
        if n >= least:
            out[i], left, others = HIDDEN, left + n, others + 1
    return out


def _labels(own: Part, least: int) -> Labels:
    if own.classes is not None and own.agreed:
        return Labels(classes=dict(zip(own.classes, cells(list(own.classes.values()), least), strict=True)))
    if own.marks is not None and own.agreed:
        return Labels(marks={name: cells([n, own.samples - n], least)[0] for name, n in own.marks.items()})
    if own.numbers is not None:
        return Labels(numbers={name: _quantiles(numbers, least) for name, numbers in own.numbers.items()})
    return Labels()  # the list of classes is itself a secret: it was taken from the labels


def _column(column: Column, samples: int, least: int) -> Told:
    there = samples - column.missing
    known = all(n == 0 or n >= least for n in (column.missing, there))
    if isinstance(column, Values):
        names, counts = list(column.counts), list(column.counts.values())
        told = cells(counts, least) if known else cells([*counts, column.missing], least)
        return Told(missing=column.missing if known else told[-1], values=dict(zip(names, told, strict=False)))
    unit = column.unit or None
    if known:
        return Told(missing=column.missing, quantiles=_quantiles(column, least), unit=unit)
    if there < least:
        return Told(missing=HIDDEN, quantiles={}, unit=unit)
    return Told(missing=FEW, quantiles=_quantiles(column, least, samples - least + 1), unit=unit)


def _quantiles(numbers: Numbers, least: int, known: int | None = None) -> Quantiles:
    """Rounded quantiles, each with at least `least` numbers below it and above it.

    Args:
        numbers: of a column.
        least: the least count that is told.
        known: so many numbers are there at least, as far as a reader knows; None where the count is told.
    """
    n = len(numbers.values) if known is None else known
    shares = [share for share in SHARES if min(share, 1 - share) * n >= least]
    return {f"{share:g}": rounded(numbers.values, numbers.quantile(share), least) for share in shares}


def rounded(values: "array[float]", number: float, least: int) -> float:
    """A number rounded to the finest multiple of 1, 2 or 5 times a power of ten that at least `least` values round to.

    Args:
        values: in ascending order, at least `least` of them.
        number: one of them.
        least: how many have to share it.
    """
    most = max(abs(values[0]), abs(values[-1]))
    exponent = max(_LEAST, floor(log10(most)) - _FINEST + 1) if most else 0
    while True:
        for digit in (1, 2, 5):
            step = digit * 10.0**exponent
            place = floor(number / step + 0.5)
            if bisect_left(values, (place + 0.5) * step) - bisect_left(values, (place - 0.5) * step) >= least:
                return round(place * step, -exponent)
        exponent += 1
