"""One line of the table: ours beside something else, measured in turns so that both meet the same machine."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

REPEATS = 6  # half of them in each order: what runs second meets another heap and another clock rate


@dataclass(frozen=True, slots=True)
class Row:
    """Ours against one other: `ratio` is ours / theirs, above 1 where more is better and we are ahead."""

    what: str
    unit: str
    ours: float
    rival: str
    theirs: float
    ratio: float


def rates(what: str, unit: str, measured: Mapping[str, Callable[[], float]]) -> list[Row]:
    """Measure every rate `REPEATS` times, in turns; the median ratio of the same turn counts.

    Args:
        what: is done.
        unit: of the rates.
        measured: name -> a function that does it once and returns a rate; the first is ours.
    """
    for function in measured.values():
        function()  # once for caches
    ours, *rivals = measured
    turns = [{name: measured[name]() for name in list(measured)[:: (-1) ** turn]} for turn in range(REPEATS)]
    return [
        Row(
            what, unit, statistics.median(t[ours] for t in turns), rival, statistics.median(t[rival] for t in turns),
            statistics.median(t[ours] / t[rival] for t in turns),
        )
        for rival in rivals
    ]  # fmt: skip
