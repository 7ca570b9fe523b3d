"""A plot as shapes on a plane of `WIDTH` by `HEIGHT`: where lines, marks, ticks and words go.

Knows numbers; knows no markup. Own code and not matplotlib's SVG, whose letters are shapes that cannot be read out and
whose colours stay as they are on a dark screen and on paper (docs/decisions/0036-report.md).
"""

import math
from dataclasses import dataclass

from alx.report.page.content import Plot, Series

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 26, 46  # margins, for the words at the axes
MOST_TICKS = 16  # a word each fits beside the next
MOST_LINES = 8  # words at the axis of y
SHORT = 3  # powers of ten
LEGEND = 230  # between the names of series


@dataclass(frozen=True, slots=True)
class Mark:
    """A point, or a bar with its height down to the axis."""

    x: float
    y: float
    height: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series: its style, its path where it is a line, its marks, and where its name stands."""

    name: str
    style: str
    path: str
    marks: list[Mark]
    legend: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A word at an axis."""

    at: float
    word: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All shapes of a plot."""

    series: list[Drawn]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    legend: bool
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    width: float = WIDTH
    height: float = HEIGHT


def drawing(plot: Plot) -> Drawing:
    """Where everything goes."""
    values = [p.y for s in plot.series for p in s.points]
    y_ticks = _decades(values) if plot.log else _steps(values, zero=any(s.style == "bars" for s in plot.series))
    low, high = (_place(end, log=plot.log) for end in (y_ticks[0][0], y_ticks[-1][0]))
    room = (WIDTH - LEFT - RIGHT) / max(1, len(plot.ticks))

    def x(index: int) -> float:
        return round(LEFT + room * (index + 0.5), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (_place(value, log=plot.log) - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def drawn(i: int, series: Series) -> Drawn:
        bar = min(48.0, 0.7 * room) if series.style == "bars" else 0.0
        marks = [
            Mark(x(p.x), y(p.y), round(HEIGHT - BOTTOM - y(p.y), 1) if bar else 0.0, round(bar, 1)) for p in series.points
        ]
        if series.style != "line":
            return Drawn(series.name, series.style, "", marks, LEFT + i * LEGEND)
        path = " ".join(f"{'L' if n else 'M'}{m.x:g} {m.y:g}" for n, m in enumerate(marks))
        return Drawn(series.name, series.style, path, [], LEFT)

    every = -(-len(plot.ticks) // MOST_TICKS) if plot.ticks else 1
    named = [s for s in plot.series if s.points and s.style != "line"]
    lines = [s for s in plot.series if s.points and s.style == "line"]
    return Drawing(
        series=[*(drawn(0, s) for s in lines), *(drawn(i, s) for i, s in enumerate(named))],
        x_ticks=[Tick(x(i), word) for i, word in enumerate(plot.ticks) if i % every == 0],
        y_ticks=[Tick(y(value), word) for value, word in y_ticks],
        legend=len(named) > 1,
    )


def _place(value: float, *, log: bool) -> float:
    return math.log10(value) if log else value


def _decades(values: list[float]) -> list[tuple[float, str]]:
    """Powers of ten around them, and within a short span 2 and 5 times each."""
    first = math.floor(math.log10(min(values)))
    last = max(first + 1, math.ceil(math.log10(max(values))))
    within = (1, 2, 5) if last - first <= SHORT else (1,)
    ticks = [n * 10.0**power for power in range(first, last) for n in within] + [10.0**last]
    below = max((i for i, t in enumerate(ticks) if t <= min(values)), default=0)
    above = min((i for i, t in enumerate(ticks) if t >= max(values)), default=len(ticks) - 1)
    if below == above:  # of one number an axis shows what is around it
        below, above = max(0, below - 1), min(len(ticks) - 1, above + 1)
    kept = ticks[below : above + 1]
    every = -(-len(kept) // MOST_LINES)
    return [(t, f"{t:g}" if i % every == 0 or t == kept[-1] else "") for i, t in enumerate(kept)]


def _steps(values: list[float], *, zero: bool) -> list[tuple[float, str]]:
    """Round numbers from below the least, or from 0, to above the most; the step is 1, 2 or 5 times a power of ten."""
    low, high = (0.0 if zero else min(values)), max(values)
    if high - low <= abs(high) * 1e-9:
        low, high = (0.0 if zero else low - abs(low) / 2), high + (abs(high) / 2 or 1.0)
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(n for n in (1, 2, 5, 10) if rough <= n * power * (1 + 1e-9))
    first, last = math.floor(low / step), math.ceil(high / step)
    return [(n * step, _number(n * step, step)) for n in range(first, last + 1)]


def _number(value: float, step: float) -> str:
    if abs(value) >= 1e6 or (value and step < 1e-4):  # noqa: PLR2004 - wider than the margin
        return f"{value:.2g}"
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
