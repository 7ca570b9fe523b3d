"""Policies that examples/paper/stacked.py trains side by side are trained as one alone is by alx, torch and gymnasium."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from alx.learning import state
from alx.tasks.models import mlp
from alx.tasks.policy_gradient import Reinforce
from alx.tasks.rollout import Episodes

CPU = torch.device("cpu")
LENGTHS = [[0.6, 4.2], [0.9, 4.8]]


@pytest.fixture(scope="module")
def stacked():
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))
    try:
        import stacked  # noqa: PLC0415
    finally:
        sys.path.pop(0)
    return stacked


def two():
    torch.manual_seed(2)
    return [mlp(4, 2, 4) for _ in range(2)]


def rows(nets):
    return {n: torch.stack([net.state_dict()[n] for net in nets]) for n in nets[0].state_dict()}


def test_poles_fall_as_gymnasiums_do(stacked):
    played = stacked.play(stacked.Policies(rows(two())), torch.tensor(LENGTHS), 60, torch.Generator().manual_seed(1))
    for row, slot in np.ndindex(2, 2):
        env = CartPoleEnv()
        env.length = LENGTHS[row][slot]
        env.polemass_length = env.masspole * env.length
        env.reset(seed=0)
        env.state = played.seen[0, row, slot].numpy().astype(np.float64)
        lasted = int(played.lasted[row, slot])
        for at in range(lasted):
            np.testing.assert_allclose(env.state, played.seen[at, row, slot], rtol=1e-3, atol=1e-4)
            _, _, ended, _, _ = env.step(int(played.actions[at, row, slot]))
            assert ended == (at + 1 == lasted < 60)


def test_each_row_steps_as_reinforce_alone(stacked, monkeypatch):
    """The same episodes, four steps with a trust region: each row's weights are those of alx's own trainer."""
    nets = two()
    settings = stacked.Settings({"learner": LENGTHS, "provider": LENGTHS}, 6, 2, 0.9, 40, 5e-3, 4)
    runs = stacked.Runs([stacked.Run(kept=True, hold=0.5)] * 2, rows(nets), settings, 3)
    kept, play = [], stacked.play
    monkeypatch.setattr(stacked, "play", lambda *given, **named: kept.append(play(*given, **named)) or kept[-1])
    runs.held = stacked.Policies(runs.start)
    for _ in range(4):
        runs.step(("learner", "learner"), runs.adams[0])
    ends = runs.policies.states()
    for row, net in enumerate(nets):

        class Slots:
            num_envs = 6
            single_action_space = CartPoleEnv().action_space

        trainer = Reinforce(net, Slots, 2, "reward_to_go", 0.9, lambda p: torch.optim.Adam(p, lr=5e-3), 40, CPU, hold=0.5)
        for played in kept:
            lasted = played.lasted[row].numpy()
            alive = np.arange(lasted.max())[:, None] < lasted
            seen, done = (values[: lasted.max(), row] for values in (played.seen, played.actions))
            none = np.zeros(6, dtype=bool)
            episodes = Episodes(seen, done.long(), alive.astype(np.float64), alive, none, none)
            monkeypatch.setattr("alx.tasks.rollout.play", lambda *_, episodes=episodes: episodes)
            trainer.step()
        for name, value in state.copied(net.state_dict()).items():
            torch.testing.assert_close(ends[name][row], value, rtol=1e-4, atol=1e-5)


def test_what_starts_afresh_is_forgotten_for_its_row_alone(stacked):
    runs = stacked.Runs(
        [stacked.Run(kept=True), stacked.Run()],
        rows(two()),
        stacked.Settings({"learner": LENGTHS, "provider": LENGTHS}, 6, 2, 0.9, 20, 5e-3, 4),
        3,
    )
    for _ in range(2):
        assert {*runs.turn(0, 4), *runs.turn(1, 4)} <= {0, 4}
    assert runs.adams[0].steps.tolist() == [8, 4]
