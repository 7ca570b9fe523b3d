"""The picture of growth: time and memory of every step against three sizes, on logarithmic axes."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt

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


def _linear(axis: plt.Axes, sizes: np.ndarray, low: float, high: float) -> None:
    """A dotted line of slope 1 through the middle, to compare with."""
    middle = np.sqrt(low * high)
    axis.plot(sizes, middle * sizes / np.sqrt(sizes[0] * sizes[-1]), ":", color="0.6", linewidth=1.2, zorder=0)
