"""AssistPG beside Learner-PG at as many steps: the optimiser kept over a side's own turns, a trust region, blends.

    python gap.py cartpole --seeds 0 1 2 3 4 --out runs/cartpole-gap
    python gap.py lunarlander --seeds 0 --out runs/lunarlander-gap --beside runs/lunarlander.json

plays the runs of `RUNS` and prints a table of the tests' returns. CartPole: all runs of up to five seeds side by side
(stacked.py), nothing sealed, hours of single runs in minutes. LunarLander: real sites and real bundles, one run after the
other, of those in `CHANGES`; what figures.py wrote of the same seeds is the rest of the table. Each seed's returns lie in
a file of its own and are not played again, so a run that was stopped goes on; gap.json has all of them.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from returns import GAMES, JUDGE_SEED, Judge, assisted, prepared
from stacked import Run, Runs, Settings, tested

from alx.learning import state, trajectory

ALONE, POOLED = ("learner", "learner"), ("pooled", "pooled")
RUNS = {
    "AssistPG, as in the paper": Run(),
    "optimiser kept": Run(kept=True),
    "optimiser kept, measured undiscounted": Run(kept=True, discounted=False),
    "optimiser kept, 0.1 KL": Run(kept=True, hold=0.1),
    "optimiser kept, blends": Run(kept=True, blended=True),
    "optimiser kept, 0.1 KL, blends": Run(kept=True, hold=0.1, blended=True),
    "no selection, optimiser kept (Cyclic-PG)": Run(kept=True, selects=False),
    "Learner-PG": Run(kept=True, selects=False, turns=ALONE),
    "PG on pooled environments": Run(kept=True, selects=False, turns=POOLED),
}
KEPT, HELD = ("[optimiser]\n", "[optimiser]\nkeep = true\n"), ("[model]\n", "[distillation]\nweight = 0.1\n\n[model]\n")
PLAIN = ("discount = 0.99\n", "discount = 0.99\nevaluation_discount = 1.0\n")
CHANGES = {  # of the paper's plan.toml, on real sites
    "optimiser kept": [KEPT],
    "optimiser kept, measured undiscounted": [KEPT, PLAIN],
    "optimiser kept, 0.1 KL": [KEPT, HELD],
}
AT_ONCE = 5  # seeds
TESTS = ("Test I", "Test II")


def side_by_side(game: str, seeds: list[int], judged: set[int]) -> dict[int, dict]:
    """Each seed's returns and chosen steps, by the run's name."""
    played = GAMES[game]
    rows, first, poles = [], [], []
    for seed in seeds:
        _, _, agreed, values, of = prepared(game, seed)
        trajectory.seed_all(seed)
        policy = state.fresh(of["learner"])
        rows += [(seed, name) for name in RUNS]
        first += [policy for _ in RUNS]
        poles += [values for _ in RUNS]
    settings = Settings(
        {who: [values[who] for values in poles] for who in poles[0]},
        agreed.batch_size,
        agreed.settings["evaluation_episodes"],
        agreed.settings["discount"],
        agreed.settings["max_steps"],
        agreed.optimiser.lr,
        agreed.sampling_period,
    )
    stacked = {n: torch.stack([policy[n] for policy in first]) for n in first[0]}
    runs = Runs([RUNS[name] for _, name in rows], stacked, settings, seeds[0])
    found: dict = {seed: {name: {"chosen": []} for name in RUNS} for seed in seeds}
    begun = time.monotonic()
    for number in range(1, agreed.rounds + 1):
        for turn, role in enumerate(("learner", "provider")):
            labels = runs.turn(turn, agreed.steps(role, 1, 1))
            for (seed, name), label in zip(rows, labels, strict=True):
                found[seed][name]["chosen"].append(label)
        if number in judged:
            for test in played.game.tests:
                values = [played.game.test(test, seed, played.tested) for seed, _ in rows]
                for (seed, name), value in zip(
                    rows, tested(runs.start, values, settings.max_steps, JUDGE_SEED), strict=True
                ):
                    found[seed][name].setdefault(test, {})[str(number)] = value
        print(f"{game}, seeds {seeds}: round {number}, {time.monotonic() - begun:.0f} s", flush=True)
    return found


def on_sites(game: str, seed: int, changes: list[tuple[str, str]], judged: set[int]) -> dict:
    """The same of one seed and one run, with these changes of the paper's plan.toml."""
    text, configs, agreed, values, of = prepared(game, seed)
    judge, begun = Judge(GAMES[game], agreed, values, of["learner"].new_model), time.monotonic()
    for old, new in changes:
        if text.count(old) != 1:
            raise SystemExit(f"plan.toml has {old!r} {text.count(old)} times, expected once")
        text = text.replace(old, new)
    row: dict = {"chosen": []}
    with tempfile.TemporaryDirectory() as folder:
        for number, (weights, chosen) in enumerate(assisted(Path(folder), text, configs, seed), 1):
            row["chosen"] += chosen.split(", ")
            if number in judged:
                returns = judge(weights)
                for test in GAMES[game].game.tests:
                    row.setdefault(test, {})[str(number)] = returns[test]
            print(f"{game} seed {seed}: round {number}, {time.monotonic() - begun:.0f} s", flush=True)
    return row


def table(found: dict[int, dict], beside: Path | None, shown: list[int]) -> str:
    columns: dict[str, dict[int, dict]] = {}
    if beside is not None:
        told = json.loads(beside.read_text())
        (known,) = (v for k, v in told["by_seed_and_round"].items() if "as many as" in k)
        for name in ("AssistPG", "Learner-PG", "PG"):
            columns[name] = {
                seed: {t: {str(n): r for n, r in enumerate(known[name][t][told["seeds"].index(seed)])} for t in TESTS}
                for seed in found
            }
    for name in dict.fromkeys(name for rows in found.values() for name in rows):
        columns[name] = {seed: rows[name] for seed, rows in found.items() if name in rows}
    heads = [f"{test}, round {n}" for test in TESTS for n in shown]
    lines = ["| algorithm | seeds | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(heads)]
    for name, rows in columns.items():
        cells = [[rows[seed][test][str(n)] for seed in rows] for test in TESTS for n in shown]
        told_of = [f"{np.mean(c):.1f} ± {np.std(c, ddof=min(1, len(c) - 1)):.1f}" for c in cells]
        lines.append(f"| {name} | {len(rows)} | {' | '.join(told_of)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("game", choices=GAMES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--beside", type=Path, help="what figures.py wrote of the same seeds")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), help="of the runs on real sites")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rounds = prepared(given.game, 0)[2].rounds
    shown = sorted({(rounds + 1) // 2, rounds})

    def kept(seed: int) -> dict:
        path = given.out / f"gap-{seed}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def keep(seed: int, found: dict) -> None:
        part = given.out / f"gap-{seed}.part"  # what counts as played is in a file that is whole
        part.write_text(json.dumps(found))
        part.replace(part.with_suffix(".json"))

    if given.game == "cartpole":
        while seeds := [seed for seed in given.seeds if not kept(seed)][:AT_ONCE]:
            for seed, found in side_by_side(given.game, seeds, set(shown)).items():
                keep(seed, found)
    else:
        for name, seed in itertools.product(given.only, given.seeds):
            if name not in kept(seed):
                keep(seed, kept(seed) | {name: on_sites(given.game, seed, CHANGES[name], set(shown))})
    played = {seed: kept(seed) for seed in given.seeds if kept(seed)}
    (given.out / "gap.json").write_text(json.dumps({"game": given.game, "by_seed": played}))
    print(table(played, given.beside, shown))


if __name__ == "__main__":
    main()
