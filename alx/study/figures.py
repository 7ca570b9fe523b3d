"""Pictures of results. Numbers in, a PNG out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from alx import files
from alx.study.results import Algorithm, Results, Run

mpl.use("Agg")  # no screen is needed, and none is asked for

from matplotlib import pyplot as plt

mpl.rcParams["svg.hashsalt"] = "alx"  # the same numbers give the same file

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = {
    "assisted": "#0072B2",
    "pooled data": "#000000",
    "FedAvg": "#009E73",
    "learner alone": "#D55E00",
    "provider alone": "#E69F00",
}

DECADE = 10
LABEL = 0.06  # of an axis's height: what a line of text takes

# Name in a legend, colour, line: the paper's four, then rivals, then the other rule for candidates.
ALGORITHMS: dict[Algorithm, tuple[str, str, Any]] = {
    "assisted": ("assisted", "#0072B2", "-"),
    "centralised": ("centralised", "#000000", "--"),
    "learner-only": ("learner only", "#D55E00", "--"),
    "provider-only": ("provider only", "#E69F00", "--"),
    "cyclic": ("cyclic transfer", "#CC79A7", "-."),
    "fedavg": ("FedAvg", "#009E73", "-."),
    "cyclic+distillation": ("cyclic transfer, distillation", "#CC79A7", ":"),
    "fedavg+distillation": ("FedAvg, distillation", "#009E73", ":"),
    "paper": ("the paper's algorithm", "#7F7F7F", "-"),
    "blended": ("blends", "#56B4E9", "-"),
    "blended+distillation": ("blends, distillation", "#0072B2", (0, (1, 1))),
    "blended+distillation+validation": ("blends, distillation, validation", "#332288", (0, (3, 1))),
}


def curves(
    axis: Any, runs: Sequence[Run], what: str, label: str | None = None, colour: str | None = None, trips: int = 1
) -> None:
    """One algorithm's line, mean over seeds, and a band from the least to the greatest seed.

    Args:
        axis: matplotlib's.
        runs: of one algorithm, one a seed.
        what: `loss` or `score`.
        label: in the legend; None takes the algorithm's name.
        colour: None takes the algorithm's.
        trips: what a round counts for on the x axis.
    """
    values = np.array([[getattr(r, what) for r in run.rounds] for run in runs], dtype=float)
    name, own, line = ALGORITHMS[runs[0].algorithm]
    colour = colour or own
    rounds = trips * np.arange(1, values.shape[1] + 1)
    mean = values.mean(0)
    thick = 2.2 if line == "-" else 1.5
    axis.plot(rounds, mean, linestyle=line, color=colour, label=label or name, linewidth=thick)
    if len(values) > 1:
        axis.fill_between(rounds, values.min(0), values.max(0), color=colour, alpha=0.12, linewidth=0)


def plain(axis: Any, xlabel: str, ylabel: str) -> None:
    """The manner of every plot here: no frame, a faint grid."""
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    axis.xaxis.get_major_locator().set_params(integer=True)


def scale(axis: Any, runs: Sequence[Run]) -> None:
    """A logarithmic axis for losses where they span ten times or more; below that its ticks say little."""
    losses = [r.loss for run in runs for r in run.rounds if r.loss is not None]
    wide = bool(losses) and min(losses) > 0 and max(losses) >= DECADE * min(losses)
    axis.set_yscale("log" if wide else "linear")
    axis.yaxis.set_major_formatter("{x:g}")


def save(figure: Any, stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG; the SVG has no date in it."""
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg")]
    for path in paths:
        with files.storage(path):
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    return paths


def simulated(stem: Path, results: Results) -> list[Path]:
    """Training loss and score of every algorithm, side by side, by round.

    Args:
        stem: the files' name without its ending.
        results: of a simulation.

    Returns:
        The PNG and the SVG.
    """
    scored = any(r.score is not None for run in results.runs for r in run.rounds)
    figure, axes = plt.subplots(1, 2 if scored else 1, figsize=(9.6, 3.9), dpi=120, layout="constrained", squeeze=False)
    for axis, what in zip(axes[0], ("loss", "score"), strict=False):
        for summary in results.summary:
            curves(axis, results.of(summary.algorithm), what)
        if what == "score" and results.without is not None:
            axis.axhline(results.without, color="#999999", linewidth=1, linestyle=(0, (1, 3)), label="no model")
        plain(axis, "round", "training loss, both parties' samples" if what == "loss" else results.score)
    scale(axes[0, 0], results.runs)
    handles, labels = axes[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False, fontsize=9)
    most = max(s.seeds for s in results.summary)
    fewer = "" if all(s.seeds == most for s in results.summary) else "up to "
    many = f"{fewer}{most} seeds, mean and range" if most > 1 else "one seed"
    figure.suptitle(f"{results.plan}: {results.data}, {results.split}; {many}", fontsize=11)
    return save(figure, stem)


def _apart(values: Mapping[str, float], least: float) -> dict[str, float]:
    """Places for labels at these heights, so that no two are nearer than `least`: the lower ones make way."""
    places: dict[str, float] = {}
    above = float("inf")
    for name in sorted(values, key=values.__getitem__, reverse=True):
        above = places[name] = min(values[name], above - least)
    return places


def by_round(
    path: Path,
    title: str,
    chosen: Sequence[float],
    objective: str,
    scores: Mapping[str, Sequence[float]],
    score: str,
    *,
    log: bool,
    digits: int,
) -> None:
    """The objective beside the held-out score, both by round.

    Args:
        path: the PNG to write.
        title: one line above both.
        chosen: the objective, mean over all samples, at what was chosen in each round.
        objective: what it is.
        scores: by name (see `COLOURS`), the score after each round.
        score: what the score is.
        log: the objective's axis is logarithmic.
        digits: decimals of the score.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), dpi=120, layout="constrained")
    rounds = range(1, len(chosen) + 1)
    left.plot(rounds, chosen, marker="o", color=COLOURS["assisted"])
    left.set(xlabel="round", ylabel=objective, yscale="log" if log else "linear", xticks=rounds)
    for name, values in scores.items():
        mine = name == "assisted"
        right.plot(
            rounds,
            values,
            color=COLOURS[name],
            marker="o" if mine else None,
            linewidth=2.2 if mine else 1.4,
            linestyle="-" if mine else "--",
        )
    right.set(xlabel="round", ylabel=score, xticks=rounds)
    low, high = right.get_ylim()
    places = _apart({name: values[-1] for name, values in scores.items()}, LABEL * (high - low))
    for name, values in scores.items():
        right.annotate(
            f"{name} {values[-1]:.{digits}f}",
            (1.02, places[name]),
            xycoords=("axes fraction", "data"),
            va="center",
            color=COLOURS[name],
            fontsize=9,
            annotation_clip=False,
        )
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path)
    plt.close(figure)
