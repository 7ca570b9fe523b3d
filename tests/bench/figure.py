"""The picture of growth: time and memory of every step against three sizes, on logarithmic axes."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

from tests.bench.row import Row
from tests.bench.series import AXES, STEPS, Series, memory_exponent, time_exponent

# Okabe and Ito's colours, told apart by colour-blind readers too; and a mark each, for those who print in grey.
STYLE = {"seal": ("#0072B2", "o"), "export": ("#E69F00", "s"), "open": ("#009E73", "^"), "import": ("#D55E00", "D")}
UNIT = {"snapshots": 1.0, "model": 1e6, "samples": 1e3}
LABEL = {"snapshots": "snapshots in a bundle", "model": "size of the model, MB", "samples": "samples on a side, thousands"}
APART = 0.085  # of a panel's height: as near as two labels may come


def _ends(values: Sequence[float], low: float, high: float) -> list[float]:
    """Where labels stand, as shares of the height: each at its line's end, moved as little as keeps them apart."""
    at = np.interp(np.log(values), np.log([low, high]), [0.0, 1.0])
    order = np.argsort(at)
    placed = at.copy()
    for below, above in itertools.pairwise(order):
        placed[above] = max(placed[above], placed[below] + APART)
    over = max(0.0, float(placed.max()) - 1.0)
    return list(placed - over * (placed - placed.min()) / max(float(np.ptp(placed)), 1e-9))


def draw(path: Path, found: Sequence[Series]) -> None:
    """Six panels: time above, memory below; a line each step, with its exponent at its end.

    Args:
        path: the PNG.
        found: every series.
    """
    figure, axes = plt.subplots(2, len(AXES), figsize=(12, 6.6), dpi=110, layout="constrained", sharex="col", sharey="row")
    for row, (what, exponent) in enumerate((("seconds", time_exponent), ("peak", memory_exponent))):
        scale, least = (1.0, 1e-3) if what == "seconds" else (1e6, 0.1)  # what is less is nothing
        lines = {s: np.maximum(np.array(getattr(s, what)) / scale, least) for s in found}
        low, high = (f(v for line in lines.values() for v in line) for f in (min, max))
        low, high = low / 1.6, high * 1.6
        for axis, name in zip(axes[row], AXES, strict=True):
            here = [s for s in found if s.axis == name]
            ends = _ends([lines[s][-1] for s in here], low, high)
            for series, end in zip(here, ends, strict=True):
                colour, mark = STYLE[series.step]
                x = np.array(series.sizes) / UNIT[name]
                axis.plot(x, lines[series], color=colour, marker=mark, markersize=4, linewidth=1.6)
                axis.annotate(
                    f"{exponent(series):.2f}", (1.03, end), xycoords="axes fraction", color=colour, va="center", fontsize=9
                )
            sizes = np.array(here[0].sizes) / UNIT[name]
            _linear(axis, sizes, low, high)
            axis.set(xscale="log", yscale="log", ylim=(low, high))
            axis.set_xticks(sizes, [f"{v:.3g}" for v in sizes], minor=False)
            axis.xaxis.set_minor_locator(mpl.ticker.NullLocator())
            axis.yaxis.set_major_formatter("{x:g}")
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(alpha=0.25)
            if row:
                axis.set_xlabel(LABEL[name])
        axes[row, 0].set_ylabel("seconds" if what == "seconds" else "peak of memory, MB")
    handles = [
        plt.Line2D([], [], color=STYLE[s][0], marker=STYLE[s][1], markersize=5, linewidth=1.6, label=STEPS[s]) for s in STEPS
    ]
    handles.append(plt.Line2D([], [], color="0.6", linestyle=":", label="linear"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle("how cost grows; the number at a line's end is its slope: 1 is linear, 0 is no growth", fontsize=11)
    figure.savefig(path)
    plt.close(figure)


def draw_ranks(path: Path, found: Sequence[Row]) -> None:
    """How much faster several ranks are than one: ours beside DistributedDataParallel, a panel for each thing that is done.

    Args:
        path: the PNG.
        found: rows whose `what` ends in a number of ranks.
    """
    panels: dict[str, list[tuple[int, Row]]] = {}
    for row in found:
        name, _, ranks = row.what.rpartition(", ")
        panels.setdefault(name, []).append((int(ranks.split()[0]), row))
    figure, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3.4), dpi=110, layout="constrained", sharey=True)
    for axis, (name, rows) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        counts = [count for count, _ in rows]
        for label, (colour, mark), rates in (
            ("alx", ("#0072B2", "o"), [row.ours for _, row in rows]),
            (rows[0][1].rival, ("#E69F00", "s"), [row.theirs for _, row in rows]),
        ):
            axis.plot(
                counts, np.array(rates) / rates[0], color=colour, marker=mark, markersize=5, linewidth=1.6, label=label
            )
        axis.plot(counts, np.array(counts) / counts[0], color="0.6", linestyle=":", label="linear")
        what, _, how = name.partition(",")
        axis.set_title(f"{what}\n{how.strip()}", fontsize=9)
        axis.set(xlabel="ranks", xticks=counts, ylim=(0, None))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("times the rate of one rank")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)
    plt.close(figure)


def _linear(axis: plt.Axes, sizes: np.ndarray, low: float, high: float) -> None:
    """A dotted line of slope 1 through the middle, to compare with."""
    middle = np.sqrt(low * high)
    axis.plot(sizes, middle * sizes / np.sqrt(sizes[0] * sizes[-1]), ":", color="0.6", linewidth=1.2, zorder=0)
