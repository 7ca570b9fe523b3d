"""Policy gradients: rollouts against plain loops, estimators against the paper's formula, losses bit for bit."""

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.distributions import Independent, Normal

from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.tasks import check_task, lunar_lander, policy_gradient, rollout, sync_vector
from alx.tasks.cartpole import SHORTEST, cartpole
from alx.tasks.lunar_lander import PoweredLander, lunar_landers
from alx.tasks.models import mlp
from alx.tasks.policy_gradient import Reinforce, advantages
from alx.tasks.rollout import Episodes

CPU = torch.device("cpu")
LENGTHS = [0.4, 2.0, 4.5]


def adam(parameters):
    return torch.optim.Adam(parameters, lr=5e-3)


def poles(**settings):
    return policy_gradient(lambda: mlp(4, 2, 4), cartpole, LENGTHS, adam, batch_size=7, **settings)


class Corridor(gym.Env):
    """Ends after `length` steps with reward 1 each; every later episode of the same object pays 1000 a step."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length, cut=None):
        self.length, self.cut, self.episodes = length, cut, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.episodes = 1 if seed is not None else self.episodes + 1
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        del action
        self.at += 1
        reward = 1.0 if self.episodes == 1 else 1000.0
        return np.zeros(1, np.float32), reward, self.at == self.length, self.at == self.cut, {}


class Levers(gym.Env):
    """One step; the lever `value` pays."""

    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(3, start=5)

    def __init__(self, value):
        self.value = value

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        return np.ones(1, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return np.ones(1, np.float32), float(action == self.value), True, False, {}


class Slider(Levers):
    """One step; the nearer to `value` the better; actions within [-1, 1]."""

    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def step(self, action):
        assert self.action_space.contains(action)
        return np.ones(1, np.float32), -float(abs(action[0] - self.value)), True, False, {}


def play(envs, policy=None, max_steps=500, seed=0):
    torch.manual_seed(0)
    return rollout.play(envs, policy or mlp(envs.single_observation_space.shape[0], envs.single_action_space.n, 4),
                        max_steps, seed, CPU)  # fmt: skip


def again(env, first, played, slot, taken):
    """The slot's actions, one after the other in a plain environment: observations, rewards and how it ended."""
    observations, rewards = [first], []
    for action in played.actions[played.played[:, slot], slot]:
        observation, reward, terminated, truncated, _ = env.step(taken(action))
        observations.append(observation)
        rewards.append(reward)
    return np.stack(observations[:-1]), np.array(rewards), terminated, truncated


def test_landers_side_by_side_do_what_one_alone_does():
    powers = [10.0, 20.0, 40.0]
    played = play(lunar_landers(powers), max_steps=400, seed=3)
    assert played.terminated.all()
    for slot, power in enumerate(powers):
        env = PoweredLander(power)
        first, _ = env.reset(seed=3 + slot)
        seen, rewards, terminated, _ = again(env, first, played, slot, int)
        mine = played.played[:, slot]
        assert np.array_equal(seen, played.observations[mine, slot].numpy())
        assert np.array_equal(rewards, played.rewards[mine, slot])
        assert terminated
        assert not played.rewards[~mine, slot].any()


def test_poles_side_by_side_do_what_one_alone_does():
    played = play(cartpole(LENGTHS), seed=4)
    for slot, length in enumerate(LENGTHS):
        env = CartPoleEnv()
        env.length, env.polemass_length = length, env.masspole * length
        env.reset(seed=0)
        env.state = cartpole(LENGTHS).reset(seed=4)[0][slot].astype(np.float64)
        seen, rewards, terminated, _ = again(env, env.state.astype(np.float32), played, slot, int)
        mine = played.played[:, slot]
        np.testing.assert_allclose(seen, played.observations[mine, slot].numpy(), rtol=1e-3, atol=1e-4)
        assert rewards.sum() == played.rewards[:, slot].sum()
        assert terminated == played.terminated[slot]


def test_a_pole_of_the_usual_length_is_gymnasiums():
    ours, theirs = cartpole([0.5] * 8), CartPoleVectorEnv(8)
    a, _ = ours.reset(seed=1)
    b, _ = theirs.reset(seed=1)
    for _ in range(40):
        assert np.array_equal(a, b)
        action = (a[:, 2] > 0).astype(np.int64)
        a, b = ours.step(action)[0], theirs.step(action)[0]


def test_a_pole_of_no_length_is_the_shortest():
    assert cartpole([0.0, 3.0]).length.tolist() == [SHORTEST, 3.0]


def test_a_lander_of_the_usual_power_is_gymnasiums_and_leaves_gymnasium_as_it_was():
    ours, theirs = PoweredLander(13.0), lunar_lander.lunar_lander.LunarLander()
    assert np.array_equal(ours.reset(seed=2)[0], theirs.reset(seed=2)[0])
    strong = PoweredLander(40.0)
    strong.reset(seed=2)
    for _ in range(20):
        mine = ours.step(2)[0]
        stronger = strong.step(2)[0]
        assert np.array_equal(mine, theirs.step(2)[0])
    assert stronger[3] > mine[3]
    assert lunar_lander.lunar_lander.MAIN_ENGINE_POWER == 13.0


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_no_reward_after_the_end_counts(mode):
    lengths = [1, 3, 8]
    played = play(SyncVectorEnv([lambda n=n: Corridor(n) for n in lengths], autoreset_mode=mode))
    assert played.played.sum(0).tolist() == lengths
    assert played.rewards.sum(0).tolist() == lengths
    assert played.terminated.all()
    assert not played.truncated.any()
    expected = [sum(0.5**t for t in range(n)) for n in lengths]
    assert played.rewards_to_go(0.5)[0] == pytest.approx(expected)


def test_a_slot_rests_after_its_episode_until_it_is_seeded_again():
    envs = sync_vector(Corridor)([2, 5])
    for _ in range(2):
        played = play(envs)
        assert played.rewards.sum(0).tolist() == [2, 5]
        assert [e.unwrapped.at for e in envs.envs] == [2, 5]


def test_truncation_is_no_termination():
    made = SyncVectorEnv([lambda: Corridor(9, cut=4), lambda: Corridor(4, cut=4), lambda: Corridor(3), lambda: Corridor(9)])
    played = play(made, max_steps=6)
    assert played.terminated.tolist() == [False, True, True, False]
    assert played.truncated.tolist() == [True, False, False, True]  # by the environment; no; no; by max_steps
    assert played.rewards.sum(0).tolist() == [4, 4, 3, 6]  # the step that is cut counts whole


def two_episodes():
    rewards = np.array([[1.0, 2.0], [3.0, 0.0], [5.0, 0.0]])
    played = np.array([[True, True], [True, False], [True, False]])
    nothing = np.zeros(2, dtype=bool)
    return Episodes(torch.zeros(3, 2, 1), torch.zeros(3, 2), rewards, played, nothing, nothing)


def test_the_estimators_weigh_steps_as_they_say():
    episodes = two_episodes()
    to_go = np.array([[1 + 1.5 + 1.25, 2.0], [3 + 2.5, 0.0], [5.0, 0.0]])
    assert np.array_equal(episodes.rewards_to_go(0.5), to_go)
    assert advantages(episodes, "whole_episode", 0.5)[:, 0].tolist() == [3.75] * 3
    mean = (3.75 + 5.5 + 5 + 2) / 4
    assert advantages(episodes, "reward_to_go", 0.5)[episodes.played] == pytest.approx(
        [3.75 - mean, 2 - mean, 5.5 - mean, 5 - mean]
    )


def test_the_whole_episodes_step_is_the_papers_formula():
    policy = mlp(4, 2, 4)
    before = state.of(policy)
    torch.manual_seed(5)
    Reinforce(policy, cartpole([LENGTHS[i % 3] for i in range(7)]), 3, "whole_episode", 0.9,
              lambda p: torch.optim.SGD(p, lr=0.1), 30, CPU).step()  # fmt: skip
    after = state.of(policy)
    policy.load_state_dict(before)
    policy.zero_grad()
    torch.manual_seed(5)
    seed = int(torch.randint(1 << 31, ()))
    played = rollout.play(cartpole([LENGTHS[i % 3] for i in range(7)]), policy, 30, seed, CPU)
    means = {}
    for slot in range(7):
        terms = 0
        length = int(played.played[:, slot].sum())
        discounted = sum(0.9**t * played.rewards[t, slot] for t in range(length))
        for t in range(length):
            terms = terms + policy(played.observations[t, slot]).log_softmax(0)[played.actions[t, slot]]
        means.setdefault(slot % 3, []).append(discounted * terms)
    gain = sum(sum(m) / len(m) for m in means.values()) / 3
    gain.backward()
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(after[name], before[name] + 0.1 * parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("estimator", ["reward_to_go", "whole_episode"])
def test_a_policy_learns(estimator):
    task = policy_gradient(lambda: nn.Linear(1, 3), sync_vector(Levers), [6], lambda p: torch.optim.Adam(p, lr=0.1),
                           estimator=estimator, batch_size=16)  # fmt: skip
    trajectory.seed_all(0)
    model = task.new_model()
    assert measure.measure(task, model, state.of(model)).total > -0.6
    run = trajectory.Run(task, state.of(model), 1)
    for _ in range(60):
        run.trainer.step()
    assert measure.measure(task, model, state.of(run.model)).total < -0.9


def test_a_policy_of_continuous_actions_learns():
    class Gaussian(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = nn.Linear(1, 1)

        def forward(self, x):
            return Independent(Normal(self.mean(x), 0.3), 1)

    task = policy_gradient(Gaussian, sync_vector(Slider), [0.8], lambda p: torch.optim.Adam(p, lr=0.05))
    assert check_task(task) == []
    trajectory.seed_all(0)
    model = task.new_model()
    first = measure.measure(task, model, state.of(model)).total
    run = trajectory.Run(task, state.of(model), 1)
    for _ in range(80):
        run.trainer.step()
    assert measure.measure(task, model, state.of(run.model)).total < min(0.35, first)


def test_the_same_snapshot_gives_the_same_number_bit_for_bit():
    a, b = poles(held_out=[1.0, 3.0]), poles(held_out=[1.0, 3.0])
    trajectory.seed_all(1)
    snapshot = state.of(a.new_model())
    first = measure.measure(a, a.new_model(), snapshot)
    before = torch.get_rng_state()
    trajectory.Run(b, snapshot, 9).trainer.step()  # environments that were used in between
    torch.rand(3)
    numbers = [measure.measure(task, task.new_model(), snapshot) for task in (a, b, a)]
    assert numbers == [first] * 3
    model = a.new_model()
    model.load_state_dict(snapshot)
    with torch.no_grad():
        assert a.held_out(model) == b.held_out(model)
    torch.set_rng_state(before)
    measure.measure(a, model, snapshot)
    assert torch.equal(torch.get_rng_state(), before)
    assert poles(seed=1).measure(model) != first
    assert first.count == len(LENGTHS)
    assert first.total < 0


def test_another_process_measures_the_same_number():
    program = (
        "import torch; from alx.learning import measure, state, trajectory\n"
        "from tests.test_policy_gradient import poles\n"
        "task = poles(); trajectory.seed_all(1); model = task.new_model()\n"
        "print(measure.measure(task, model, state.of(model)).total.hex())"
    )
    told = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in "ab"]
    task = poles()
    trajectory.seed_all(1)
    model = task.new_model()
    torch.set_num_threads(1)
    assert {*told} == {measure.measure(task, model, state.of(model)).total.hex() + "\n"}


def test_the_mean_return_is_that_of_a_plain_loop():
    task = policy_gradient(lambda: mlp(8, 4, 4), lunar_landers, [12.0, 30.0], adam, evaluation_episodes=3, max_steps=150,
                           batch_size=2, seed=11)  # fmt: skip
    trajectory.seed_all(0)
    model = task.new_model()
    total = measure.measure(task, model, state.of(model)).total
    torch.manual_seed(11)
    played = rollout.play(lunar_landers([12.0] * 3 + [30.0] * 3), model, 150, 11, CPU)
    expected = []
    for slot in range(6):
        env = PoweredLander([12.0, 30.0][slot // 3])
        first, _ = env.reset(seed=11 + slot)
        _, rewards, _, _ = again(env, first, played, slot, int)
        expected.append(sum(0.99**t * r for t, r in enumerate(rewards)))
    assert total == pytest.approx(-(sum(expected[:3]) / 3 + sum(expected[3:]) / 3))


def test_the_task_keeps_every_promise():
    assert check_task(poles()) == []
    assert check_task(policy_gradient(lambda: mlp(8, 4, 8), lunar_landers, [12.0], adam, batch_size=2,
                                      evaluation_episodes=1)) == []  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 2}, "batch_size is 2 episodes, expected at least one for each of the 3 environments"),
        ({"estimator": "actor_critic"}, "estimator is 'actor_critic', expected one of reward_to_go, whole_episode"),
        ({"discount": 0}, "discount is 0, expected above 0, at most 1"),
        ({"max_steps": 0}, "max_steps is 0, expected at least 1"),
        ({"evaluation_episodes": 0}, "evaluation_episodes is 0, expected at least 1"),
    ],
)
def test_settings_out_of_range_are_told(settings, told):
    with pytest.raises(ConfigError, match=told):
        policy_gradient(lambda: mlp(4, 2, 4), cartpole, LENGTHS, adam, **settings)


def test_no_parameters_are_told():
    with pytest.raises(ConfigError, match="there are no parameters"):
        policy_gradient(lambda: mlp(4, 2, 4), cartpole, [], adam)


class Words(Levers):
    observation_space = gym.spaces.Dict({"x": gym.spaces.Box(0, 1, (1,), np.float32)})

    def reset(self, *, seed=None, options=None):
        return {"x": super().reset(seed=seed, options=options)[0]}, {}


@pytest.mark.parametrize(
    ("environments", "told"),
    [
        (lambda values: [Levers(v) for v in values], "environments returned a list, expected a gymnasium VectorEnv"),
        (lambda _values: CartPoleVectorEnv(1), "environments made 1 sub-environments for 96 values"),
        (sync_vector(Words), "the environment observes a Dict, expected an array"),
        (
            lambda values: SyncVectorEnv([lambda: Levers(5) for _ in values], autoreset_mode=AutoresetMode.DISABLED),
            "has autoreset disabled",
        ),
    ],
)
def test_environments_that_cannot_be_used_are_told(environments, told):
    task = policy_gradient(lambda: nn.Linear(1, 3), environments, [5, 6, 7], adam)
    with pytest.raises(ConfigError, match=told):
        task.measure(task.new_model())


@pytest.mark.parametrize(
    ("policy", "told"),
    [(lambda: nn.Unflatten(0, (1, 1, -1)), r"a tensor of shape \[1, 1, 96, 4\]"), (lambda: nn.LSTM(4, 2), "a tuple")],
)
def test_a_policy_that_gives_no_logits_is_told(policy, told):
    task = policy_gradient(policy, cartpole, LENGTHS, adam)
    with pytest.raises(ConfigError, match=f"the policy returned {told}, expected logits"):
        task.measure(task.new_model())


def test_only_returns_travel(tmp_path, alx):
    """The parties' own pole lengths stand in site.toml and nowhere in what is carried or introduced."""
    done = alx("demo", "--task", "cartpole", "--rounds", "1", "--dir", tmp_path / "demo", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert set(told) == {
        "learner_only", "provider_only", "centralised", "assisted", "rounds", "samples", "seed", "seconds"
    }  # fmt: skip
    assert told["samples"] == 10
    assert 20 < told["assisted"] < 200
    (first,) = told["rounds"]
    assert set(first) == {"round", "global_loss", "test_1_return", "selected", "bundles"}
    assert first["test_1_return"] == told["assisted"]
    assert first["global_loss"] < 0
    lengths = [
        length
        for role in ("learner", "provider")
        for length in json.loads(
            (tmp_path / "demo" / role / "site.toml").read_text().split('"lengths" = ')[1].split("\n")[0]
        )
    ]
    assert len(lengths) == 10
    carried = [p for p in (tmp_path / "demo" / "disk").rglob("*") if p.is_file()]
    carried += [tmp_path / "demo" / role / "identity.json" for role in ("learner", "provider")]
    text = b"".join(p.read_bytes() for p in carried)
    assert not [length for length in lengths if str(length)[:8].encode() in text]
    assert len(text) > 1000
