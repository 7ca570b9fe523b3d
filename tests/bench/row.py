"""One line of the table: ours beside something else, measured in turns so that both meet the same machine."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

REPEATS = 6  # half of them in each order: what runs second meets another heap and another clock rate


@dataclass(frozen=True, slots=True)
class Row:
    """Ours against one other.

    Attributes:
        what: was done.
        unit: of `ours` and `theirs`. One that ends in `/s` is a rate, of which more is better; any other is a cost.
        ours: the median.
        rival: beside what.
        theirs: the median.
        ratio: ours / theirs: of a rate above 1 we are ahead, of a cost below 1.
        limit: where `ratio` has to stay: at least this for a rate, at most this for a cost; None where nothing is promised.
        spread: the least and the greatest of the ratios that `ratio` is the median of; None where it was not kept.
    """

    what: str
    unit: str
    ours: float
    rival: str
    theirs: float
    ratio: float
    limit: float | None = None
    spread: tuple[float, float] | None = None

    @property
    def is_rate(self) -> bool:
        """More is better."""
        return self.unit.endswith("/s")

    @property
    def verdict(self) -> str:
        """In a word or two: is the limit met, or, where there is none, who is ahead."""
        bound = 1.0 if self.limit is None else self.limit
        good = self.ratio >= bound if self.is_rate else self.ratio <= bound
        if self.limit is None:
            return "ahead" if good else "behind"
        return "met" if good else "MISSED"


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be measured here, and why."""

    what: str
    why: str


def rates(
    what: str,
    unit: str,
    measured: Mapping[str, Callable[[], float]],
    *,
    limit: float | None = None,
    repeats: int = REPEATS,
    spread: bool = False,
) -> list[Row]:
    """Measure every rate or cost `repeats` times, in turns; the median ratio of the same turn counts.

    Args:
        what: is done.
        unit: of the numbers, see `Row`.
        measured: name -> a function that does it once and returns the number; the first is ours.
        limit: see `Row`.
        repeats: turns.
        spread: whether to keep it.
    """
    for function in measured.values():
        function()  # once for caches
    ours, *rivals = measured
    turns = [{name: measured[name]() for name in list(measured)[:: (-1) ** turn]} for turn in range(repeats)]
    ratios = {rival: [t[ours] / t[rival] for t in turns] for rival in rivals}
    return [
        Row(
            what,
            unit,
            statistics.median(t[ours] for t in turns),
            rival,
            statistics.median(t[rival] for t in turns),
            statistics.median(ratios[rival]),
            limit,
            (min(ratios[rival]), max(ratios[rival])) if spread else None,
        )
        for rival in rivals
    ]
