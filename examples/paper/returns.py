"""Play one of the paper's two games: AssistPG over real sites and bundles, and the same training without assistance.

    python returns.py cartpole --seeds 0 1 2 --out runs/cartpole

writes seed-N.json (returns by number of steps) and seed-N/ (the policies, as safetensors) for each seed. A seed that
has its JSON is not played again, so a run that was stopped goes on. AssistPG is judged after each round (two turns), the
others after each turn's number of steps, for as many steps in all.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save_file
from torch import Tensor

from alx import plan, turns
from alx.learning import measure, state, trajectory
from alx.learning.task import Task
from alx.site.site_file import SiteFile
from alx.study import baselines, exchange
from alx.study.games import CARTPOLE, LUNAR_LANDER, Game
from alx.tasks import load as tasks
from alx.tasks import policy_gradient
from alx.tasks.cartpole import cartpole
from alx.tasks.lunar_lander import lunar_landers
from alx.tasks.rollout import Environments

HERE = Path(__file__).parent
JUDGE_SEED = 1_000_003  # episodes that no selection has seen


@dataclass(frozen=True)
class Played:
    game: Game
    setting: str  # the name of the values in site.toml
    environments: Environments
    tested: int  # environments of each test
    judged: int  # episodes in each of a party's own environments


GAMES = {
    "cartpole": Played(CARTPOLE, "lengths", cartpole, tested=1000, judged=100),
    "lunarlander": Played(LUNAR_LANDER, "powers", lunar_landers, tested=100, judged=4),
}
WHO = {"Learner-PG": "learner", "PG": "pooled", "Provider-PG": "provider"}


class Judge:
    """Returns of a policy where it was trained and where it was not; the same episodes for every policy of a seed."""

    def __init__(self, played: Played, agreed: plan.Plan, values: dict[str, list[float]], model) -> None:
        def task(parameters: list[float], held_out: list[float]) -> Task:
            return policy_gradient(
                model,
                played.environments,
                parameters,
                torch.optim.Adam,
                held_out=held_out,
                seed=JUDGE_SEED + agreed.seed,
                **agreed.settings | {"evaluation_episodes": played.judged},
            )

        draws = {name: played.game.test(name, agreed.seed, played.tested) for name in played.game.tests}
        self.own = {role: task(values[role], []) for role in ("learner", "provider")}
        self.tests = {name: task(drawn[:1], drawn) for name, drawn in draws.items()}
        self.model = self.own["learner"].new_model()

    def __call__(self, weights: dict[str, Tensor]) -> dict[str, float]:
        out = {}
        for role, task in self.own.items():
            measured = measure.measure(task, self.model, weights)
            out[role] = -measured.total / measured.count
        return out | {name: measure.held_out(task, self.model).score for name, task in self.tests.items()}


def assisted(folder: Path, text: str, configs: dict[str, SiteFile], seed: int) -> Iterator[tuple[dict[str, Tensor], str]]:
    """The learner's selection after each round, and how it was chosen: real sites, real bundles."""
    both = exchange.begin(folder, text, configs, seed, lambda _line: None)
    learner = both.sites["learner"]
    for number in range(1, learner.plan.rounds + 1):
        there, back = both.play(number)
        chosen = f"{there.chosen.selected.label}, {back.chosen.selected.label}"
        yield load(turns.best_file(turns.latest(learner.look()))), chosen


def prepared(name: str, seed: int) -> tuple[str, dict[str, SiteFile], plan.Plan, dict[str, list[float]], dict[str, Task]]:
    """The plan's text with this seed, the sites' configurations, the plan, who has which values, and everybody's task."""
    played, place = GAMES[name], HERE / name
    text = re.sub(r"(?m)^seed = \d+", f"seed = {seed}", (place / "plan.toml").read_text())
    agreed = plan.parse(text.encode()).plan
    values = played.game.values(seed)
    configs = {
        who: SiteFile(
            role="provider" if who == "provider" else "learner",
            task=str(place / "task.py"),
            device="cpu",
            settings={played.setting: values[who]},
        )
        for who in values
    }
    of = {who: tasks.task(place, config.model_copy(update={"task": "task.py"}), agreed) for who, config in configs.items()}
    return text, configs, agreed, values, of


def play(name: str, seed: int, out: Path) -> dict:
    begun = time.monotonic()
    text, configs, agreed, values, of = prepared(name, seed)
    turn = agreed.steps("learner", 1, 1)
    judge = Judge(GAMES[name], agreed, values, of["learner"].new_model)
    trajectory.seed_all(seed)
    rows: dict[str, list[dict]] = {"start": [{"steps": 0} | judge(state.fresh(of["learner"]))]}
    (out / f"seed-{seed}").mkdir(parents=True, exist_ok=True)

    def keep(algorithm: str, steps: int, weights: dict[str, Tensor], chosen: str) -> None:
        save_file(dict(weights), out / f"seed-{seed}" / f"{algorithm}-{steps}.safetensors")
        found = judge(weights)
        rows.setdefault(algorithm, []).append({"steps": steps, "chosen": chosen} | found)
        told = ", ".join(f"{k} {v:.1f}" for k, v in found.items())
        print(
            f"{name} seed {seed}, {time.monotonic() - begun:.0f} s: {algorithm} {steps} steps: {told} {chosen}", flush=True
        )

    with tempfile.TemporaryDirectory() as folder:
        for number, (weights, chosen) in enumerate(assisted(Path(folder), text, configs, seed), 1):
            keep("AssistPG", 2 * turn * number, weights, chosen)
    for algorithm, who in WHO.items():
        trained = baselines.states(baselines.alone(of[who], agreed.seed, turn, 2 * agreed.rounds), 2 * agreed.rounds)
        for number, weights in enumerate(trained, 1):
            keep(algorithm, turn * number, weights, "")
    return {"game": name, "seed": seed, "values": values, "turn": turn, "rounds": agreed.rounds, "returns": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("game", choices=GAMES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for seed in given.seeds:
        path = given.out / f"seed-{seed}.json"
        if path.exists():
            print(f"{given.game} seed {seed} was played already: '{path}'")
        else:
            result = play(given.game, seed, given.out)
            part = path.with_suffix(".part")  # a seed counts as played only when its file is whole
            part.write_text(json.dumps(result, indent=1))
            part.replace(path)


if __name__ == "__main__":
    main()
