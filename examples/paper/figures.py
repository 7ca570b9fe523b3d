"""Figures 9 and 10: returns by round, mean and standard deviation over the seeds that returns.py played.

    python figures.py runs/cartpole --out docs/results-rl

writes GAME.png, GAME.svg, and GAME.json with every number in them, and prints a table.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

FIGURE = {"cartpole": "Fig. 9: CartPole", "lunarlander": "Fig. 10: LunarLander"}
# Okabe and Ito's colours, told apart by colour-blind readers too.
STYLE = {
    "AssistPG": ("#0072B2", "-"),
    "PG": ("#000000", "--"),
    "Learner-PG": ("#D55E00", "--"),
    "Provider-PG": ("#E69F00", ":"),
}
PANELS = {
    "learner": "discounted return, learner's environments",
    "both": "discounted return, both parties' environments",
    "Test I": "return, Test I",
    "Test II": "return, Test II",
}


Curves = dict[str, dict[str, np.ndarray]]


def curves(runs: list[dict], a_round: int) -> Curves:
    """For each algorithm and panel an array [seeds, rounds + 1] by round; round 0 is theta^0.

    `a_round`: optimiser steps that a round is for those without a peer. AssistPG's round is two turns.
    """
    out = {}
    for algorithm in STYLE:
        per_round = 2 * runs[0]["turn"] if algorithm == "AssistPG" else a_round
        wanted = [per_round * r for r in range(1, runs[0]["rounds"] + 1)]
        rows = [[*run["returns"]["start"], *(r for r in run["returns"][algorithm] if r["steps"] in wanted)] for run in runs]
        out[algorithm] = {
            name: np.array([[(r["learner"] + r["provider"]) / 2 if name == "both" else r[name] for r in rs] for rs in rows])
            for name in PANELS
        }
    return out


def draw_row(axes, found: Curves, title: str) -> None:
    for axis, (panel, what) in zip(axes, PANELS.items(), strict=True):
        for algorithm, (colour, line) in STYLE.items():
            values = found[algorithm][panel]
            mean, spread = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else 0 * values[0]
            rounds = range(len(mean))
            axis.plot(rounds, mean, line, color=colour, label=algorithm, linewidth=2.2 if line == "-" else 1.5)
            axis.fill_between(rounds, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
        low = min(found[a][panel].mean(0).min() for a in found)
        high = max(found[a][panel].mean(0).max() for a in found)
        room = 0.25 * (high - low)
        axis.set(xlabel="round", title=what, xticks=rounds, ylim=(low - room, high + room))
        axis.title.set_fontsize(10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    axes[0].set_ylabel(title)


def draw(path: Path, runs: list[dict], rows: dict[str, Curves]) -> None:
    game = runs[0]["game"]
    figure, axes = plt.subplots(len(rows), len(PANELS), figsize=(15, 7), dpi=100, layout="constrained")
    for axis_row, (title, found) in zip(axes, rows.items(), strict=True):
        draw_row(axis_row, found, title)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(f"{FIGURE[game]}; mean and standard deviation of {len(runs)} seeds", fontsize=12)
    for ending in ("png", "svg"):
        figure.savefig(path / f"{game}.{ending}", metadata={"Date": None} if ending == "svg" else None)
    plt.close(figure)


def table(found: Curves, rounds: list[int]) -> str:
    lines = ["| round | algorithm | " + " | ".join(PANELS.values()) + " |", "|---" * (len(PANELS) + 2) + "|"]
    for number in rounds:
        for algorithm, panels in found.items():
            cells = [f"{v[:, number].mean():.1f} ± {v[:, number].std(ddof=min(1, len(v) - 1)):.1f}" for v in panels.values()]
            lines.append(f"| {number} | {algorithm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    runs = sorted((json.loads(p.read_text()) for p in given.runs.glob("seed-*.json")), key=lambda r: r["seed"])
    if not runs:
        raise SystemExit(f"nothing was played in '{given.runs}' yet: returns.py does that")
    turn, rounds = runs[0]["turn"], runs[0]["rounds"]
    rows = {
        f"a round of the others:\n{2 * turn} steps, as many as AssistPG's": curves(runs, 2 * turn),
        f"a round of the others:\n{turn} steps, as the paper counts": curves(runs, turn),
    }
    draw(given.out, runs, rows)
    numbers = {
        title.replace("\n", " "): {a: {p: np.round(v, 3).tolist() for p, v in panels.items()} for a, panels in found.items()}
        for title, found in rows.items()
    }
    result = {"game": runs[0]["game"], "seeds": [r["seed"] for r in runs], "by_seed_and_round": numbers}
    (given.out / f"{result['game']}.json").write_text(json.dumps(result))
    kept = np.array([[r["chosen"].replace("t=", "").split(", ") for r in run["returns"]["AssistPG"]] for run in runs], int)
    share = (kept.mean(0) / turn).round(2)
    print("share of a turn's steps that the receiver kept, by round:")
    for who, column in (("learner's", 0), ("provider's", 1)):
        print(f"  {who} turns: {' '.join(map(str, share[:, column]))}; all {share[:, column].mean():.2f}")
    for title, found in rows.items():
        print(f"\n{title}\n{table(found, sorted({max(1, rounds // 4), (rounds + 1) // 2, rounds}))}".replace(":\n", ": "))


if __name__ == "__main__":
    main()
