"""Figures 3 to 8: AssistDeep on CIFAR-10 and SVHN, the paper's section 4.2, and rivals beside it.

    python deep.py small --data runs/data --out runs/paper-small
    python deep.py full --data DATA --figures 3 4 --seeds 0 --jobs 1 --out runs/paper-full

`small` is the edition for two CPU cores, with parts.py's images; `full` is the paper's size, for a GPU, and reads
DATA/cifar10.npz and, for Figs. 5 and 6, torchvision's SVHN in DATA. Writes results.json, tables.md and figN.png and .svg.
"""

import argparse
import json
from pathlib import Path

from jobs import cell, simulate
from matplotlib import pyplot as plt

from alx.study import figures
from alx.study.results import Results

HERE = Path(__file__).resolve().parent / "deep"
GAMMAS = (0.0, 0.3, 0.7, 1.0)
ENDS = (0.0, 1.0)  # the gammas of Figs. 7 and 8
FULL_TITLES = {
    3: "AlexNet on CIFAR-10",
    4: "ResNet-18 on CIFAR-10",
    5: "AlexNet on SVHN",
    6: "ResNet-18 on SVHN",
    7: "AlexNet on CIFAR-10, sampling periods",
    8: "ResNet-18 on CIFAR-10, sampling periods",
}
SMALL_TITLES = {n: f"small {title}".replace("SVHN", "MNIST (in SVHN's place)") for n, title in FULL_TITLES.items()}
TITLES = {"small": SMALL_TITLES, "full": FULL_TITLES}
DATA = {
    "small": {"cifar10": "npz:{}/cifar10-small.npz", "svhn": "npz:{}/mnist-small.npz"},
    "full": {"cifar10": "npz:{}/cifar10.npz", "svhn": "svhn:{}"},
}
PERIODS = {"small": (10, 25), "full": (20, 50)}  # of Figs. 7 and 8, and of the others
DEFAULT = "blended+distillation"  # what alx does by default, at the figure's sampling period
NAMES = {
    "assisted": "AssistDeep",
    "centralised": "SGD, pooled",
    "learner-only": "Learner-SGD",
    "provider-only": "Provider-SGD",
    "cyclic": "cyclic transfer",
    "fedavg": "FedAvg",
    DEFAULT: "alx: blends, distillation",
}


DRAWN = (
    "assisted",
    "centralised",
    "provider-only",
    "cyclic",
    "fedavg",
    DEFAULT,
)  # of the losses: Learner-SGD's is out of sight


def name(figure: int, gamma: float) -> str:
    return f"fig{figure}-gamma{gamma:g}"


def jobs(edition: str, wanted: list[int], data: Path, seeds: str) -> dict[str, list[str]]:
    """Arguments of `alx simulate`, by name. Figs. 7 and 8 need their twins of period 50."""
    out = {}
    for figure in sorted({*wanted, *(f - 4 for f in wanted if f in (7, 8))}):
        folder = HERE / "small" if edition == "small" else HERE
        source = DATA[edition]["svhn" if figure in (5, 6) else "cifar10"].format(data)
        for gamma in ENDS if figure in (7, 8) else GAMMAS:
            rivals = "" if figure in (7, 8) else ",".join(a for a in NAMES if a != "assisted")
            out[name(figure, gamma)] = [
                str(folder / f"fig{figure}.toml"),
                "--data",
                source,
                "--split",
                f"gamma:{gamma:g}",
                "--baselines",
                rivals,
                "--seeds",
                seeds,
            ]
    return out


def draw(figure: int, edition: str, found: dict[str, Results], out: Path) -> None:
    """Training loss above, test accuracy below, a column for each gamma_L."""
    gammas = ENDS if figure in (7, 8) else GAMMAS
    drawn, axes = plt.subplots(2, len(gammas), figsize=(3.6 * len(gammas), 6.2), dpi=100, layout="constrained", sharex=True)
    shown = [run for gamma in gammas for run in found[name(figure, gamma)].runs if run.algorithm in DRAWN]
    for column, gamma in zip(axes.T, gammas, strict=True):
        mine = found[name(figure, gamma)]
        base = found[name(figure - 4, gamma)] if figure in (7, 8) else mine
        for axis, what in zip(column, ("loss", "score"), strict=True):
            if figure in (7, 8):
                short, long = PERIODS[edition]
                for results, period, colour in ((mine, short, "#0072B2"), (base, long, "#56B4E9")):
                    figures.curves(axis, results.of("assisted"), what, f"AssistDeep, period {period}", colour)
                for algorithm in (DEFAULT, "centralised"):
                    figures.curves(axis, base.of(algorithm), what, NAMES[algorithm])
            else:
                for algorithm, label in NAMES.items():
                    if what == "score" or algorithm in DRAWN:
                        figures.curves(axis, mine.of(algorithm), what, label)
            figures.plain(axis, "round" if what == "score" else "", "")
        figures.scale(column[0], shown)
        column[0].set_title(f"$\\gamma_L$ = {gamma:g}")
    axes[0, 0].set_ylabel("training loss on both parties' data")
    axes[1, 0].set_ylabel("test accuracy")
    handles, labels = axes[1, 0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    seeds = len(found[name(figure, gammas[0])].dealt)
    drawn.suptitle(
        f"Fig. {figure}: {TITLES[edition][figure]}; {f'mean and range of {seeds} seeds' if seeds > 1 else 'one seed'}"
    )
    figures.save(drawn, out / f"fig{figure}")


def table(figure: int, found: dict[str, Results]) -> str:
    """Accuracy after the last round, rounds until within a point of pooled, and what was carried; Markdown."""
    header = [
        "gamma_L",
        *NAMES.values(),
        "rounds: AssistDeep",
        "rounds: provider",
        "rounds: cyclic",
        "rounds: FedAvg",
        "GB: AssistDeep",
        "GB: each rival",
    ]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for gamma in GAMMAS:
        summary = {s.algorithm: s for s in found[name(figure, gamma)].summary}
        scores = [cell(summary[a].score) for a in NAMES]
        near = [", ".join(str(n or "-") for n in summary[a].near) for a in ("assisted", "provider-only", "cyclic", "fedavg")]
        carried = [f"{summary[a].carried / 1e9:.3g}" for a in ("assisted", "cyclic")]
        lines.append("| " + " | ".join([f"{gamma:g}", *scores, *near, *carried]) + " |")
    return "\n".join(lines)


def losses(figures_: list[int], found: dict[str, Results]) -> str:
    """Training loss after the last round, on both parties' data; Markdown. Figs. 7 and 8 play assistance alone."""
    lines = ["| figure | gamma_L | " + " | ".join(NAMES.values()) + " |", "|---" * (2 + len(NAMES)) + "|"]
    for figure in figures_:
        for gamma in ENDS if figure in (7, 8) else GAMMAS:
            summary = {s.algorithm: s for s in found[name(figure, gamma)].summary}
            cells = [cell(summary[a].loss) if a in summary else "" for a in NAMES]
            lines.append("| " + " | ".join([str(figure), f"{gamma:g}", *cells]) + " |")
    return "\n".join(lines)


def periods(figure: int, edition: str, found: dict[str, Results]) -> str:
    """Figs. 7 and 8: what a shorter sampling period buys; Markdown."""
    short, long = PERIODS[edition]
    header = [
        "gamma_L",
        f"AssistDeep, period {short}",
        f"period {long}",
        "SGD, pooled",
        f"GB: period {short}",
        f"period {long}",
    ]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for gamma in ENDS:
        mine, base = (found[name(f, gamma)] for f in (figure, figure - 4))
        of = [
            next(s for s in r.summary if s.algorithm == a)
            for r, a in ((mine, "assisted"), (base, "assisted"), (base, "centralised"))
        ]
        cells = [*(cell(s.score) for s in of), *(f"{s.carried / 1e9:.3g}" for s in of[:2])]
        lines.append("| " + " | ".join([f"{gamma:g}", *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edition", choices=["small", "full"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--figures", type=int, nargs="+", choices=FULL_TITLES, default=list(FULL_TITLES))
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--jobs", type=int, default=2, help="simulations at once")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found = simulate(jobs(given.edition, given.figures, given.data, given.seeds), given.out, given.jobs)
    told = []
    for figure in given.figures:
        draw(figure, given.edition, found, given.out)
        made = periods(figure, given.edition, found) if figure in (7, 8) else table(figure, found)
        told.append(f"Fig. {figure}: {TITLES[given.edition][figure]}\n\n{made}\n")
    told.append(f"Training loss on both parties' data\n\n{losses(given.figures, found)}\n")
    (given.out / "tables.md").write_text("\n".join(told), encoding="utf-8")
    (given.out / "results.json").write_text(json.dumps({n: r.model_dump(mode="json") for n, r in found.items()}))
    print("\n".join(told))


if __name__ == "__main__":
    main()
