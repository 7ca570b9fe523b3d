"""What does each trip bring? The paper's algorithm, what alx adds to it, and rivals with and without the same.

    python trips.py --data DATA --out runs/trips                        everything: six to seven hours on two idle cores
    python trips.py --only digits-0 digits-5 --out runs/trips           some settings, by name

DATA holds cifar10.npz; without it CIFAR-10's settings are left out, and said to be. Each seed of a setting is one
`alx simulate`, and goes on where it was stopped. Results are kept in KEPT, one file a setting; a seed that lies there
already is not played again.
"""

import argparse
import statistics
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jobs import simulate
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from alx.study.results import Results, Run, summarise

HERE = Path(__file__).resolve().parent
PLANS = HERE / "trips"
KEPT = HERE.parents[1] / "docs" / "results" / "trips"
NAMES = {
    "paper": "the paper",
    "blended": "blends",
    "blended+distillation": "blends, distillation",
    "blended+distillation+validation": "the same, selected on validation",
    "fedavg": "FedAvg",
    "fedavg+distillation": "FedAvg, distillation",
    "cyclic": "cyclic",
    "cyclic+distillation": "cyclic, distillation",
    "learner-only": "learner alone",
    "provider-only": "provider alone",
    "centralised": "pooled",
}
SOME = (
    "paper",
    "blended",
    "blended+distillation",
    "fedavg",
    "fedavg+distillation",
    "cyclic",
    "provider-only",
    "centralised",
)
FEW = ("blended", "blended+distillation", "fedavg", "fedavg+distillation", "centralised")
OURS = "blended+distillation"  # alx's default
SHOWN = (1, 2, 4, 8)  # rounds in the table
SEEDS = (5, 6, 7, 8, 9)  # settings were chosen by seeds 0 to 4


@dataclass(frozen=True)
class Setting:
    """One `alx simulate`.

    Attributes:
        plan: its name in `PLANS`.
        split: see docs/simulate.md.
        algorithms: of `NAMES`.
        seeds: to play, in this order.
        steps: a round, in place of the plan's.
        samples: drawn for each seed; None takes all.
    """

    plan: str
    split: str
    algorithms: tuple[str, ...] = tuple(NAMES)
    seeds: tuple[int, ...] = SEEDS
    steps: int | None = None
    samples: int | None = None

    @property
    def data(self) -> str:
        return {"cifar10-bn": "cifar10"}.get(self.plan, self.plan)


def complementary(share: float) -> str:
    return f"complementary:0,1,2,3,4:{share:g}"


SETTINGS = {
    **{f"digits-{100 * s:g}": Setting("digits", complementary(s)) for s in (0, 0.02, 0.05, 0.1)},
    "cancer-5": Setting("cancer", "complementary:0:0.05"),
    "parity-column": Setting("parity", "column:group:0-4"),
    "wine-dirichlet": Setting("wine", "dirichlet:0.3"),
    **{f"digits-0-steps-{n}": Setting("digits", complementary(0), FEW, steps=n) for n in (100, 1600)},
    **{f"cifar10-{100 * s:g}": Setting("cifar10", complementary(s), samples=5000) for s in (0, 0.05)},
    **{f"cifar10-bn-{100 * s:g}": Setting("cifar10-bn", complementary(s), FEW, samples=5000) for s in (0, 0.05)},
    "cifar10-dirichlet": Setting("cifar10", "dirichlet:0.3", SOME, samples=5000),
    **{f"cifar10-gamma-{g:g}": Setting("cifar10", f"gamma:{g:g}", SOME, SEEDS[:3], samples=5000) for g in (0, 0.3, 0.7, 1)},
    **{f"cifar10-5-steps-{n}": Setting("cifar10", complementary(0.05), FEW, SEEDS[:2], n, 5000) for n in (150, 2400)},
    "cifar10-5-all": Setting("cifar10", complementary(0.05), FEW, SEEDS[:1], 2400),
}


def tables(out: Path) -> dict[str, str]:
    """Write tables as .npz, a fifth of each kept apart, columns scaled by the rest; where they lie, by name.

    "parity" is the digits' pixels with two classes, even and odd, and which five digits it is one of as the column.
    """
    found = {}
    sets = {"cancer": load_breast_cancer(return_X_y=True), "wine": load_wine(return_X_y=True)}
    pixels, digit = load_digits(return_X_y=True)
    sets["parity"] = pixels, digit % 2
    for name, (x, y) in sets.items():
        order = np.random.default_rng(0).permutation(len(y))
        own, kept = np.split(order, [round(0.8 * len(y))])
        spread = np.where(x[own].std(0) > 0, x[own].std(0), 1)  # some pixels are never written on
        scaled = ((x - x[own].mean(0)) / spread).astype(np.float32)
        found[name] = f"npz:{out / name}.npz"
        parts = {"train_images": scaled[own], "train_labels": y[own], "test_images": scaled[kept], "test_labels": y[kept]}
        if name == "parity":
            parts["train_group"] = np.where(digit[own] < 5, "0-4", "5-9")  # noqa: PLR2004 - the digit 5
        np.savez(out / f"{name}.npz", **parts)
    return found


def arguments(setting: Setting, data: str, seed: int) -> list[str]:
    """Those of `alx simulate` for one seed."""
    baselines = ",".join(a for a in setting.algorithms if a != OURS)
    found = [str(PLANS / f"{setting.plan}.toml"), "--data", data, "--split", setting.split, "--baselines", baselines]
    found += ["--seeds", str(seed)]
    found += [] if setting.steps is None else ["--round-steps", str(setting.steps)]
    found += [] if setting.samples is None else ["--samples", str(setting.samples)]
    return found


def kept(path: Path) -> Results | None:
    """What was found before; None where nothing was."""
    return Results.model_validate_json(path.read_bytes()) if path.is_file() else None


def bare(found: Results) -> Results:
    """The same without what a round is worth beside its score: nobody reads that here, and it is most of the bytes."""
    runs = [r.model_copy(update={"rounds": [n.model_copy(update={"metrics": {}}) for n in r.rounds]}) for r in found.runs]
    return found.model_copy(update={"runs": runs, "summary": [s.model_copy(update={"metrics": {}}) for s in found.summary]})


def together(before: Results | None, found: Results) -> Results:
    """One setting with more seeds.

    Raises:
        SystemExit: they are of two studies.
    """
    found = bare(found)
    if before is None:
        return found
    study = ("plan_sha256", "data", "split", "samples", "rounds", "score")
    if any(getattr(before, name) != getattr(found, name) for name in study):
        raise SystemExit("what is kept is of another plan, or of other data: delete it to play anew")
    dealt = sorted([*before.dealt, *found.dealt], key=lambda d: d.seed)
    order = list(dict.fromkeys(run.algorithm for run in found.runs))
    runs = sorted([*before.runs, *found.runs], key=lambda run: (order.index(run.algorithm), run.seed))
    return found.model_copy(update={"dealt": dealt, "runs": runs, "summary": summarise(runs, shares=True)})


def scores(runs: list[Run], number: int) -> list[float]:
    """Of each seed after a round; what diverged has none."""
    return [s for s in (run.rounds[number - 1].score for run in runs) if s is not None]


def of(found: Results, algorithm: str) -> list[Run]:
    """The runs of an algorithm; alx's default is what the plans say."""
    return found.of("assisted" if algorithm == OURS else algorithm)


def trips(found: Results, algorithm: str) -> str:
    """Until the score is within a point of pooled's after the last round, for each seed."""
    near = next((s.near for s in found.summary if s.algorithm == ("assisted" if algorithm == OURS else algorithm)), [])
    return ", ".join("-" if n is None else str(2 * n) for n in near)


def table(found: Results) -> str:
    """Score after some rounds, mean and spread over seeds, bytes of all rounds, and trips to come near; Markdown."""
    shown = [n for n in SHOWN if n <= found.rounds]
    lines = [
        "| | " + " | ".join(f"round {n}" for n in shown) + " | carried | trips to within a point of pooled |",
        "|---" * (len(shown) + 3) + "|",
    ]
    for algorithm, name in NAMES.items():
        runs = of(found, algorithm)
        if not runs:
            continue
        cells = []
        for n in shown:
            values = scores(runs, n)
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append("diverged" if len(values) < len(runs) else f"{statistics.fmean(values):.3f}{spread}")
        carried = statistics.fmean(sum(r.carried for r in run.rounds) for run in runs)
        alone = not carried
        bold = "**" if algorithm == OURS else ""
        lines.append(
            f"| {bold}{name}{bold} | {' | '.join(cells)} | {'' if alone else f'{carried / 1e6:.2f} MB'} | "
            f"{'' if algorithm == 'centralised' else trips(found, algorithm)} |"
        )
    return "\n".join(lines)


def mean(found: Results, algorithm: str, number: int) -> str:
    """Of all seeds after a round, or nothing where it was not played."""
    values = scores(runs, min(number, found.rounds)) if (runs := of(found, algorithm)) else []
    return f"{statistics.fmean(values):.3f}" if values and len(values) == len(runs) else ""


def overview(found: dict[str, Results]) -> str:
    """A line for each setting: alx's default after one and two rounds beside rivals after four; Markdown."""
    heads = ["setting", "seeds", "default: round 1", "2", "4", "FedAvg: 1", "2", "4", "cyclic: 4"]
    heads += ["with distillation, 4: FedAvg", "cyclic", "pooled, 4", "bytes, times FedAvg's"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, r in found.items():
        carried = {s.algorithm: s.carried for s in r.summary}
        cells = [mean(r, OURS, n) for n in (1, 2, 4)] + [mean(r, "fedavg", n) for n in (1, 2, 4)]
        cells += [mean(r, a, 4) for a in ("cyclic", "fedavg+distillation", "cyclic+distillation", "centralised")]
        lines.append(f"| {name} | {len(r.dealt)} | {' | '.join(cells)} | {carried['assisted'] / carried['fedavg']:.2f} |")
    return "\n".join(lines)


def page(folder: Path) -> str:
    """All that is kept, Markdown."""
    each = {name: kept(folder / f"{name}.json") for name in SETTINGS}
    found = {name: r for name, r in each.items() if r is not None}
    missing = ", ".join(name for name in SETTINGS if name not in found)
    tables = "\n".join(
        f"## {name}\n\n{r.data}, {r.split}, {r.dealt[0].learner_steps} + {r.dealt[0].provider_steps} steps a round, seeds "
        f"{', '.join(str(d.seed) for d in r.dealt)}; {r.machine}; {r.finished}\n\n{table(r)}\n"
        for name, r in found.items()
    )
    return (
        "# What each trip brings, setting by setting\n\nWritten by `make trips` (examples/paper/trips.py) from the files"
        " beside it; [results.md](../../results.md) says what they mean. Accuracy on samples kept apart, mean and standard"
        f" deviation over seeds; a round is two trips.\n\n{overview(found)}\n\n"
        f"Not measured: {missing or 'nothing'}.\n\n{tables}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder with cifar10.npz")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", help="of each setting's own (5 to 9, or fewer) only these")
    parser.add_argument("--jobs", type=int, default=2, help="simulations at once")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where results are kept")
    parser.add_argument("--out", type=Path, required=True, help="where to play")
    given = parser.parse_args()
    for folder in (given.out, given.kept):
        folder.mkdir(parents=True, exist_ok=True)
    where = {"digits": "digits", **tables(given.out)}
    if given.data is not None and (given.data / "cifar10.npz").is_file():
        where["cifar10"] = f"npz:{given.data / 'cifar10.npz'}"
    todo: dict[tuple[int, str], list[str]] = {}
    for name in given.only:
        setting, before = SETTINGS[name], kept(given.kept / f"{name}.json")
        if setting.data not in where:
            print(f"{name}: left out, as there is no cifar10.npz")
            continue
        played = [] if before is None else [d.seed for d in before.dealt]
        if played:
            print(f"{name}: seeds {', '.join(map(str, played))} are kept")
        for place, seed in enumerate(setting.seeds):
            if seed not in played and (given.seeds is None or seed in given.seeds):
                todo[place, name] = arguments(setting, where[setting.data], seed)
    keeping = threading.Lock()

    def keep(job: str, found: Results) -> None:
        path = given.kept / f"{Path(job).parent}.json"
        with keeping:
            path.write_text(together(kept(path), found).model_dump_json(), encoding="utf-8")

    # the first seed of every setting before the second of any
    jobs = {f"{name}/{SETTINGS[name].seeds[place]}": todo[place, name] for place, name in sorted(todo, key=lambda t: t[0])}
    simulate(jobs, given.out, given.jobs, keep)
    text = page(given.kept)
    (given.kept / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
