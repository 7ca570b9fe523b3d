"""The policies that returns.py kept, and single plays of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from safetensors.torch import load_file
from torch import nn

from alx import plan
from alx.tasks import models, rollout
from alx.tasks.lunar_lander import PoweredLander

HERE = Path(__file__).parent
MAP = 0  # the seed of the one map, start and stream of chances that all plays share
# Who is shown, and how many turns' steps a round of theirs is: AssistPG's is two, the paper counts one for the others.
SHOWN = {
    "AssistPG": ("AssistPG", 2),
    "Learner-PG": ("Learner-PG", 2),
    "Learner-PG,\nas the paper\ncounts rounds": ("Learner-PG", 1),
}
ROUNDS = 5  # the first so many are shown


def run_of(runs: Path) -> dict:
    """What returns.py wrote for the first seed."""
    played = sorted(runs.glob("seed-*.json"))
    if not played:
        raise SystemExit(f"nothing was played in '{runs}' yet: returns.py does that")
    return json.loads(played[0].read_text())


def rounds_of(runs: Path) -> range:
    """The rounds that are shown."""
    return range(1, min(ROUNDS, run_of(runs)["rounds"]) + 1)


def policy(runs: Path, seed: int, shown: str, number: int) -> nn.Module:
    """The policy of one of `SHOWN` after a round."""
    run, (algorithm, turns) = run_of(runs), SHOWN[shown]
    folder = HERE / run["game"]
    net = models.find(plan.load(folder / "plan.toml").plan.model, folder)()
    net.load_state_dict(load_file(runs / f"seed-{seed}" / f"{algorithm}-{turns * run['turn'] * number}.safetensors"))
    return net.eval()


def pole(length: float) -> CartPoleEnv:
    env = CartPoleEnv()
    env.length, env.polemass_length = length, env.masspole * length
    return env


def lander(power: float) -> PoweredLander:
    return PoweredLander(power)


@dataclass(frozen=True)
class Moment:
    observation: np.ndarray
    ended: bool
    reward: float


def play(env, net: nn.Module, cap: int) -> Iterator[Moment]:
    """One episode with actions drawn as in training, from a fixed seed."""
    torch.manual_seed(MAP)
    observation, _ = env.reset(seed=MAP)
    yield Moment(observation, ended=False, reward=0.0)
    for _ in range(cap):
        with torch.no_grad():
            action = rollout.distribution(net(torch.as_tensor(observation).unsqueeze(0)), env.action_space).sample()
        observation, reward, ended, _, _ = env.step(int(action))
        yield Moment(observation, ended, float(reward))
        if ended:
            return
