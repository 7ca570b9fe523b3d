"""Close the gap between AssistPG and Learner-PG: the optimiser kept over a side's own turns, a trust region, blends.

    python gap.py cartpole --seeds 0 1 2 --out runs/cartpole-gap --beside ../../docs/results-rl/cartpole.json

plays each of `VARIANTS` over real sites and bundles, and Cyclic-PG with the optimiser kept, and prints a table beside what
returns.py and figures.py made of the same seeds: AssistPG as in the paper, Learner-PG and PG with as many steps. It writes
NAME-SEED.json for each, which is not played again, so a run that was stopped goes on; and gap.json with every number.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from returns import GAMES, Judge, assisted, prepared
from torch import Tensor

from alx import plan
from alx.study import baselines

KEPT = ("[optimiser]\n", "[optimiser]\nkeep = true\n")
BLENDED = ('candidates = "trajectory"', 'candidates = "blended"')


def held(weight: float) -> tuple[str, str]:
    return "[model]\n", f"[distillation]\nweight = {weight}\n\n[model]\n"


# What is changed in the paper's plan.toml, by the name that the table has.
VARIANTS: dict[str, list[tuple[str, str]]] = {
    "kept": [KEPT],
    "kept-kl": [KEPT, held(0.1)],
    "kept-kl-blended": [KEPT, held(0.1), BLENDED],
    "cyclic-kept": [KEPT],
}
WORDS = {
    "kept": "AssistPG, optimiser kept",
    "kept-kl": "AssistPG, optimiser kept, 0.1 KL",
    "kept-kl-blended": "AssistPG, optimiser kept, 0.1 KL, blends",
    "cyclic-kept": "Cyclic-PG, optimiser kept",
}
BESIDE = ("AssistPG", "Learner-PG", "PG")  # of figures.py
TESTS = ("Test I", "Test II")


def changed(text: str, changes: list[tuple[str, str]]) -> str:
    for old, new in changes:
        if text.count(old) != 1:
            raise SystemExit(f"plan.toml has {old!r} {text.count(old)} times, expected once")
        text = text.replace(old, new)
    return text


def models(name: str, game: str, seed: int, folder: Path) -> Iterator[tuple[dict[str, Tensor], str]]:
    """The model after each round, and what both sides chose."""
    text, configs, _, _, _ = prepared(game, seed)
    text = changed(text, VARIANTS[name])
    if not name.startswith("cyclic"):
        yield from assisted(folder, text, configs, seed)
        return
    agreed = plan.parse(text.encode()).plan
    _, _, _, _, of = prepared(game, seed)
    turn = agreed.steps("learner", 1, 1)
    both = {"learner": of["learner"], "provider": of["provider"]}
    for state in baselines.states(baselines.cyclic(both, agreed, dict.fromkeys(both, turn)), agreed.rounds):
        yield dict(state), ""


def play(name: str, game: str, seed: int, judged: set[int]) -> dict:
    _, _, agreed, values, of = prepared(game, seed)
    judge = Judge(GAMES[game], agreed, values, of["learner"].new_model)
    rows, begun = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number, (weights, chosen) in enumerate(models(name, game, seed, Path(folder)), 1):
            if number not in judged:
                rows.append({"round": number, "chosen": chosen})
                continue
            rows.append({"round": number, "chosen": chosen} | judge(weights))
            told = ", ".join(f"{k} {v:.1f}" for k, v in rows[-1].items() if isinstance(v, float))
            print(f"{game} seed {seed}, {name}, {time.monotonic() - begun:.0f} s: round {number}, {told}", flush=True)
    return {"game": game, "seed": seed, "name": name, "rounds": rows}


def table(out: Path, beside: Path | None, shown: list[int]) -> str:
    runs = [json.loads(p.read_text()) for p in sorted(out.glob("*-*.json"))]
    seeds = sorted({r["seed"] for r in runs})
    columns: dict[str, dict[int, dict[str, list[float]]]] = {}
    if beside is not None:
        told = json.loads(beside.read_text())
        (by_name,) = (v for k, v in told["by_seed_and_round"].items() if "as many as" in k)
        known = [s for s in told["seeds"] if s in seeds]
        for name in BESIDE:
            columns[name] = {
                n: {t: [by_name[name][t][told["seeds"].index(s)][n - 1] for s in known] for t in TESTS} for n in shown
            }
    for name in VARIANTS:
        found = [r["rounds"] for r in runs if r["name"] == name]
        if found:
            columns[WORDS.get(name, name)] = {n: {t: [r[n - 1][t] for r in found] for t in TESTS} for n in shown}
    (out / "gap.json").write_text(json.dumps(runs))
    head = " | ".join(f"{t}, round {n}" for t in TESTS for n in shown)
    lines = [f"| algorithm | seeds | {head} |", "|---|---|" + "---|" * (len(TESTS) * len(shown))]
    for name, by_round in columns.items():
        cells = [by_round[n][t] for t in TESTS for n in shown]
        written = " | ".join(f"{np.mean(c):.1f} ± {np.std(c, ddof=min(1, len(c) - 1)):.1f}" for c in cells if c)
        lines.append(f"| {name} | {len(cells[0])} | {written} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("game", choices=GAMES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--beside", type=Path, help="what figures.py made of the same seeds")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rounds = prepared(given.game, 0)[2].rounds
    shown = sorted({rounds, 5})
    for seed in given.seeds:
        for name in given.variants:
            path = given.out / f"{name}-{seed}.json"
            if not path.exists():
                result = play(name, given.game, seed, {*shown, *range(1, rounds + 1)})
                part = path.with_suffix(".part")  # it counts as played only when its file is whole
                part.write_text(json.dumps(result, indent=1))
                part.replace(path)
    print(table(given.out, given.beside, shown))


if __name__ == "__main__":
    main()
