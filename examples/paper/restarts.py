"""Why AssistPG learns less from as many steps: the same training with Adam started afresh every turn, as AssistPG's is.

    python restarts.py cartpole --seeds 0 1 2 --out runs/cartpole

plays two more baselines for seeds that returns.py played, writes restarts-N.json, and prints a table beside the others:
"Learner-PG, restarted" is Learner-PG with a new optimiser every turn; "Cyclic-PG" goes on from the peer's last model in
every turn, without a selection.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from returns import GAMES, Judge, prepared
from torch import Tensor

from alx.learning import state, trajectory
from alx.learning.task import Task

TURNS = {"Learner-PG, restarted": ("learner", "learner"), "Cyclic-PG": ("learner", "provider")}
SHOWN = ("AssistPG", "Learner-PG", *TURNS)


def rounds(of: dict[str, Task], order: tuple[str, str], seed: int, count: int, turn: int) -> Iterator[dict[str, Tensor]]:
    """The weights after each round of two turns, each turn a run of its own."""
    trajectory.seed_all(seed)
    weights = state.fresh(of["learner"])
    for number in range(count):
        for i, who in enumerate(order):
            run = trajectory.Run(of[who], weights, 1000 * seed + 2 * number + i)
            *_, (_, weights) = trajectory.sample(run, turn, turn, lambda _step, _loss: None)
        yield weights


def play(game: str, seed: int) -> dict:
    _, _, agreed, values, of = prepared(game, seed)
    judge = Judge(GAMES[game], agreed, values, of["learner"].new_model)
    turn = agreed.steps("learner", 1, 1)
    found = {}
    for name, order in TURNS.items():
        found[name] = [judge(weights) for weights in rounds(of, order, seed, agreed.rounds, turn)]
        print(game, seed, name, ", ".join(f"{k} {v:.1f}" for k, v in found[name][-1].items()), flush=True)
    return found


def table(out: Path) -> str:
    lines = ["| round | algorithm | both parties' environments | Test I | Test II |", "|---|---|---|---|---|"]
    seeds = sorted(int(p.stem.split("-")[1]) for p in out.glob("restarts-*.json"))
    runs = [json.loads((out / f"seed-{s}.json").read_text()) for s in seeds]
    more = [json.loads((out / f"restarts-{s}.json").read_text()) for s in seeds]
    last, turn = runs[0]["rounds"], runs[0]["turn"]
    for number in (last // 2, last):
        for name in SHOWN:
            rows = [
                m[name][number - 1]
                if name in TURNS
                else next(r for r in run["returns"][name] if r["steps"] == 2 * turn * number)
                for run, m in zip(runs, more, strict=True)
            ]
            columns = [
                [(r["learner"] + r["provider"]) / 2 for r in rows],
                *([r[t] for r in rows] for t in ("Test I", "Test II")),
            ]
            cells = " | ".join(f"{np.mean(c):.1f} ± {np.std(c, ddof=min(1, len(c) - 1)):.1f}" for c in columns)
            lines.append(f"| {number} | {name} | {cells} |")
    return "\n".join([f"{len(seeds)} seeds", "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("game", choices=GAMES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for seed in given.seeds:
        if not (given.out / f"seed-{seed}.json").exists():
            raise SystemExit(f"seed {seed} was not played into '{given.out}' yet: returns.py does that")
        path = given.out / f"restarts-{seed}.json"
        if not path.exists():
            path.write_text(json.dumps(play(given.game, seed), indent=1))
    print(table(given.out))


if __name__ == "__main__":
    main()
