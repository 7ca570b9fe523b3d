"""Pictures of results. Numbers in, a PNG out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no screen is needed, and none is asked for

from matplotlib import pyplot as plt

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = {
    "assisted": "#0072B2",
    "pooled data": "#000000",
    "learner alone": "#D55E00",
    "provider alone": "#E69F00",
}


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
            rounds, values, label=name, color=COLOURS[name], marker="o" if mine else None,
            linewidth=2.2 if mine else 1.4, linestyle="-" if mine else "--",
        )  # fmt: skip
        right.annotate(
            f"{values[-1]:.{digits}f}", (len(values), values[-1]), xytext=(6, 0), textcoords="offset points",
            va="center", color=COLOURS[name], fontsize=8,
        )  # fmt: skip
    right.set(xlabel="round", ylabel=score, xticks=rounds)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path)
    plt.close(figure)
