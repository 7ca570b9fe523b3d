"""Environment steps a second: a rollout of ours, the bare environment with random actions, a plain loop over one."""

import itertools
import time

import gymnasium
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from torch.distributions import Categorical

from alx.tasks import rollout
from alx.tasks.cartpole import cartpole
from alx.tasks.lunar_lander import PoweredLander, lunar_landers
from alx.tasks.models import mlp
from tests.bench.row import Row, rates

EPISODES, CAP = 32, 300
LENGTHS = [4.0 + i / EPISODES for i in range(EPISODES)]
POWERS = [10.0 + i * 30 / EPISODES for i in range(EPISODES)]
CPU = torch.device("cpu")


def _pole(length):
    env = gymnasium.wrappers.TimeLimit(CartPoleEnv(), CAP)
    env.unwrapped.length, env.unwrapped.polemass_length = length, env.unwrapped.masspole * length
    return env


def _ours(envs, policy, seeds):
    def measure():
        begun, steps = time.perf_counter(), 0
        for _ in range(3):
            steps += int(rollout.play(envs, policy, CAP, next(seeds), CPU).played.sum())
        return steps / (time.perf_counter() - begun)

    return measure


def _bare(envs, steps):
    def measure():
        envs.action_space.seed(0)
        actions = [envs.action_space.sample() for _ in range(steps)]
        envs.reset(seed=0)
        begun = time.perf_counter()
        for action in actions:
            envs.step(action)
        return steps * envs.num_envs / (time.perf_counter() - begun)

    return measure


def _bare_single(env, steps):
    def measure():
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(steps)]
        env.reset(seed=0)
        spent = 0.0
        for action in actions:
            begun = time.perf_counter()
            _, _, terminated, _, _ = env.step(action)
            spent += time.perf_counter() - begun
            if terminated:
                env.reset()
        return steps / spent

    return measure


def _plain(make, values, policy, seeds):
    """What a tutorial writes: one environment, one observation at a time."""
    envs = [make(v) for v in values]

    def measure():
        begun, steps = time.perf_counter(), 0
        with torch.no_grad():
            for env in envs:
                observation, _ = env.reset(seed=next(seeds))
                for _ in range(CAP):
                    action = Categorical(logits=policy(torch.as_tensor(observation).unsqueeze(0))).sample()
                    observation, _, terminated, truncated, _ = env.step(int(action))
                    steps += 1
                    if terminated or truncated:
                        break
        return steps / (time.perf_counter() - begun)

    return measure


def rows() -> list[Row]:
    """CartPole, whose physics is vectorised by gymnasium, and LunarLander, whose is not."""
    torch.manual_seed(0)
    poles, landers, seeds = mlp(4, 2, 4), mlp(8, 4, 32), itertools.count()
    return [
        *rates(
            f"CartPole, {EPISODES} episodes side by side",
            "environment steps/s",
            {
                "alx": _ours(cartpole(LENGTHS), poles, seeds),
                "bare CartPoleVectorEnv, random actions": _bare(cartpole(LENGTHS), 300),
                "plain loop, one environment": _plain(_pole, LENGTHS[:8], poles, seeds),
            },
        ),
        *rates(
            f"LunarLander, {EPISODES} episodes side by side",
            "environment steps/s",
            {
                "alx": _ours(lunar_landers(POWERS), landers, seeds),
                "bare LunarLander, random actions": _bare_single(PoweredLander(13.0), 2000),
                "plain loop, one environment": _plain(PoweredLander, POWERS[::4], landers, seeds),
            },
        ),
    ]
