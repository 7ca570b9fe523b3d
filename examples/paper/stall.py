"""Where the paper's algorithm stalls: two parties of complementary classes, by the share that each has of the other's.

    python stall.py digits --out runs/stall
    python stall.py cifar10 --data npz:cifar10.npz --minors 0 0.05 --out runs/stall

plays both rules for candidates, cyclic transfer, federated averaging, each party alone and both pooled, and writes
stall-DATA.json, .png, .svg and .md.
"""

import argparse
import json
from pathlib import Path

from jobs import cell, simulate
from matplotlib import pyplot as plt

from alx.study import figures
from alx.study.results import Results

HERE = Path(__file__).resolve().parent / "stall"
SAMPLES = {"digits": [], "cifar10": ["--samples", "5000"]}
NAMES = {
    "learner-only": "learner alone",
    "provider-only": "provider alone",
    "centralised": "pooled",
    "paper": "the paper's algorithm",
    "cyclic": "cyclic transfer",
    "fedavg": "FedAvg",
    "assisted": "blended",
}


def draw(name: str, found: dict[str, Results], out: Path) -> None:
    """Test accuracy above, training loss below, a column for each share, against the bundles carried so far."""
    drawn, axes = plt.subplots(
        2,
        len(found),
        figsize=(3.6 * len(found) + 1, 6.2),
        dpi=100,
        layout="constrained",
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for column, (minor, results) in zip(axes.T, found.items(), strict=True):
        for axis, what in zip(column, ("score", "loss"), strict=True):
            for algorithm, label in NAMES.items():
                figures.curves(axis, results.of(algorithm), what, label, trips=2)
            figures.plain(axis, "trips" if what == "loss" else "", "")
        column[0].set_title(f"{float(minor):.0%} of the other's")
    axes[0, 0].set_ylabel("test accuracy")
    axes[1, 0].set_ylabel("training loss, both parties' data")
    figures.scale(axes[1, 0], [run for results in found.values() for run in results.runs])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * len(found)), frameon=False)
    seeds = len(next(iter(found.values())).dealt)
    drawn.suptitle(f"{name}: complementary classes, mean and range of {seeds} seeds; a round is two trips")
    figures.save(drawn, out / f"stall-{name}")


def table(found: dict[str, Results]) -> str:
    """Accuracy and training loss after the last round; Markdown."""
    out = []
    for what in ("score", "loss"):
        head = "test accuracy" if what == "score" else "training loss"
        lines = [f"| {head}: share of the other's | " + " | ".join(NAMES.values()) + " |", "|---" * (len(NAMES) + 1) + "|"]
        for minor, results in found.items():
            summary = {s.algorithm: s for s in results.summary}
            cells = [cell(getattr(summary[a], what)) for a in NAMES]
            lines.append(f"| {float(minor):.0%} | " + " | ".join(cells) + " |")
        out.append("\n".join(lines))
    moved = []
    for minor, results in found.items():
        stuck = sum(all(r.selected == ("t=0", "t=0") for r in run.rounds) for run in results.of("paper"))
        moved.append(f"{float(minor):.0%}: {stuck} of {len(results.dealt)}")
    out.append(f"seeds on which the paper's algorithm never left the first model: {', '.join(moved)}")
    return "\n\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SAMPLES)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--minors", nargs="+", default=["0", "0.02", "0.05", "0.1"])
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--jobs", type=int, default=2, help="simulations at once")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.name == "cifar10" and given.data == "digits":
        parser.error("cifar10 needs --data, such as npz:cifar10.npz")
    given.out.mkdir(parents=True, exist_ok=True)
    rivals = "paper,centralised,learner-only,provider-only,cyclic,fedavg"
    jobs = {
        f"{given.name}-{minor}": [
            str(HERE / f"{given.name}.toml"),
            "--data",
            given.data,
            "--split",
            f"complementary:0,1,2,3,4:{minor}",
            "--baselines",
            rivals,
            "--seeds",
            given.seeds,
            *SAMPLES[given.name],
        ]
        for minor in given.minors
    }
    played = simulate(jobs, given.out, given.jobs)
    found = {minor: played[f"{given.name}-{minor}"] for minor in given.minors}
    draw(given.name, found, given.out)
    stem = given.out / f"stall-{given.name}"
    stem.with_suffix(".md").write_text(table(found) + "\n", encoding="utf-8")
    stem.with_suffix(".json").write_text(json.dumps({m: r.model_dump(mode="json") for m, r in found.items()}))
    print(table(found))


if __name__ == "__main__":
    main()
