"""Policy gradients: rollouts against plain loops, estimators against the paper's formula, losses bit for bit."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from alx import plan
from alx.errors import ConfigError, DivergedError
from alx.learning import measure, state, trajectory
from alx.site.site_file import SiteFile
from alx.study.demo import cartpole as demo_cartpole
from alx.tasks import check_task, load, lunar_lander, policy_gradient, rollout, sync_vector
from alx.tasks.cartpole import SHORTEST, cartpole
from alx.tasks.lunar_lander import PoweredLander, lunar_landers
from alx.tasks.models import mlp
from alx.tasks.policy_gradient import Reinforce, advantages
from alx.tasks.rollout import Episodes
from alx.training import Distillation

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
    return rollout.play(
        envs, policy or mlp(envs.single_observation_space.shape[0], envs.single_action_space.n, 4), max_steps, seed, CPU
    )


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
    before = state.copied(policy.state_dict())
    torch.manual_seed(5)
    Reinforce(
        policy,
        cartpole([LENGTHS[i % 3] for i in range(7)]),
        3,
        "whole_episode",
        0.9,
        lambda p: torch.optim.SGD(p, lr=0.1),
        30,
        CPU,
    ).step()
    after = state.copied(policy.state_dict())
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
    task = policy_gradient(
        lambda: nn.Linear(1, 3),
        sync_vector(Levers),
        [6],
        lambda p: torch.optim.Adam(p, lr=0.1),
        estimator=estimator,
        batch_size=16,
    )
    trajectory.seed_all(0)
    model = task.new_model()
    assert measure.measure(task, model, state.copied(model.state_dict())).total > -0.6
    run = trajectory.Run(task, state.copied(model.state_dict()), 1)
    for _ in range(60):
        run.trainer.step()
    assert measure.measure(task, model, state.copied(run.model.state_dict())).total < -0.9


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
    first = measure.measure(task, model, state.copied(model.state_dict())).total
    run = trajectory.Run(task, state.copied(model.state_dict()), 1)
    for _ in range(80):
        run.trainer.step()
    assert measure.measure(task, model, state.copied(run.model.state_dict())).total < min(0.35, first)


def test_the_same_snapshot_gives_the_same_number_bit_for_bit():
    a, b = poles(held_out=[1.0, 3.0]), poles(held_out=[1.0, 3.0])
    trajectory.seed_all(1)
    snapshot = state.fresh(a)
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


def test_what_a_policy_writes_into_its_observations_is_played_and_learnt_once():
    class Halves(nn.Sequential):
        def forward(self, x):
            return super().forward(x * 0.5)

    class Writes(nn.Sequential):
        def forward(self, x):
            return super().forward(x.mul_(0.5))

    ends = []
    for kind in (Halves, Writes):
        task = policy_gradient(lambda kind=kind: kind(nn.Linear(4, 2)), cartpole, LENGTHS, adam, batch_size=7)
        trajectory.seed_all(1)
        run = trajectory.Run(task, state.fresh(task), 5)
        losses = [run.trainer.step() for _ in range(3)]
        ends.append((losses, measure.measure(task, task.new_model(), state.copied(run.model.state_dict()))))
    assert ends[0] == ends[1]


def test_another_process_measures_the_same_number():
    program = (
        "import torch; from alx.learning import measure, state, trajectory\n"
        "from tests.tasks.test_policy_gradient import poles\n"
        "task = poles(); trajectory.seed_all(1); model = task.new_model()\n"
        "print(measure.measure(task, model, state.copied(model.state_dict())).total.hex())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    task = poles()
    trajectory.seed_all(1)
    model = task.new_model()
    assert told == measure.measure(task, model, state.copied(model.state_dict())).total.hex() + "\n"


def test_the_mean_return_is_that_of_a_plain_loop():
    task = policy_gradient(
        lambda: mlp(8, 4, 4), lunar_landers, [12.0, 30.0], adam, evaluation_episodes=3, max_steps=150, batch_size=2, seed=11
    )
    trajectory.seed_all(0)
    model = task.new_model()
    total = measure.measure(task, model, state.copied(model.state_dict())).total
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
    assert (
        check_task(policy_gradient(lambda: mlp(8, 4, 8), lunar_landers, [12.0], adam, batch_size=2, evaluation_episodes=1))
        == []
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 2}, "batch_size is 2 episodes, expected at least one for each of the 3 environments"),
        ({"estimator": "actor_critic"}, "estimator is 'actor_critic', expected one of reward_to_go, whole_episode"),
        ({"discount": 0}, "discount is 0, expected a number above 0, at most 1"),
        ({"evaluation_discount": 1.5}, "evaluation_discount is 1.5, expected a number above 0, at most 1"),
        ({"discount": "0.99"}, "discount is '0.99', expected a number above 0, at most 1"),
        ({"max_steps": 500.0}, "max_steps is 500.0, expected a whole number, at least 1"),
        ({"batch_size": True}, "batch_size is True, expected a whole number, at least 1"),
        ({"max_steps": 0}, "max_steps is 0, expected a whole number, at least 1"),
        ({"evaluation_episodes": 0}, "evaluation_episodes is 0, expected a whole number, at least 1"),
    ],
)
def test_settings_out_of_range_are_told(settings, told):
    with pytest.raises(ConfigError, match=told):
        policy_gradient(lambda: mlp(4, 2, 4), cartpole, LENGTHS, adam, **settings)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ([], "there are no parameters"),
        ("0.5", "parameters is '0.5', expected a list"),
        (0.5, "parameters is 0.5, expected a"),
    ],
)
def test_parameters_that_are_no_list_of_values_are_told(parameters, told):
    with pytest.raises(ConfigError, match=told):
        policy_gradient(lambda: mlp(4, 2, 4), cartpole, parameters, adam)


def test_one_episode_has_nothing_to_be_compared_with():
    with pytest.raises(ConfigError, match="reward_to_go compares at least two"):
        policy_gradient(lambda: mlp(4, 2, 4), cartpole, [0.5], adam, batch_size=1)
    assert policy_gradient(lambda: mlp(4, 2, 4), cartpole, [0.5], adam, batch_size=1, estimator="whole_episode")


class Keys(Levers):
    action_space = gym.spaces.Text(3)


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
        (sync_vector(Keys), "the environment takes a Text, expected one of Discrete, MultiDiscrete"),
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
    [
        (lambda: nn.Unflatten(0, (1, 1, -1)), r"a tensor of shape \[1, 1, 96, 4\], expected logits"),
        (lambda: nn.LSTM(4, 2), "a tuple, expected logits"),
        (lambda: nn.Linear(4, 3), "3 logits, expected 2, one for each action"),
        (lambda: nn.Linear(4, 1), "1 logits, expected 2, one for each action"),
    ],
)
def test_a_policy_that_gives_no_logits_is_told(policy, told):
    task = policy_gradient(policy, cartpole, LENGTHS, adam)
    with pytest.raises(ConfigError, match=f"the policy returned {told}"):
        task.measure(task.new_model())


def test_logits_for_a_continuous_action_are_told():
    task = policy_gradient(lambda: nn.Linear(1, 2), sync_vector(Slider), [0.5], adam)
    with pytest.raises(ConfigError, match=r"expected a torch\.distributions\.Distribution") as told:
        task.measure(task.new_model())
    assert "Independent(Normal(mean, std), 1)" in told.value.hint


def moved(hold, logits):
    """How a step of SGD moves the logits of a policy that was uniform when its trainer was made; and minus its return."""
    policy = nn.Linear(1, 3)
    policy.weight.data.zero_()
    policy.bias.data.zero_()
    levers = sync_vector(Levers)([6] * 32)
    trainer = Reinforce(policy, levers, 1, "reward_to_go", 1.0, lambda p: torch.optim.SGD(p, lr=1.0), 5, CPU, hold)
    policy.bias.data = logits.clone()
    torch.manual_seed(3)
    told = trainer.step()
    return policy.bias.detach() - logits, told


def test_a_policy_is_held_to_the_one_it_was_as_a_sum_by_hand_says():
    """KL(uniform || p) has the gradient p - 1/3 in the logits; its weight is that of a deviation of the advantages."""
    p = torch.tensor([0.5, 0.3, 0.2])
    (free, told), (held, again) = moved(0.0, p.log()), moved(0.25, p.log())
    assert told == again  # the same episodes
    assert 0 < -told < 1  # some of the levers paid 1
    spread = (-told * (1 + told)) ** 0.5
    torch.testing.assert_close(held - free, -0.25 * spread * (p - 1 / 3), rtol=1e-5, atol=1e-7)


def test_a_first_step_is_the_same_however_firmly_it_is_held():
    free, held = (moved(hold, torch.zeros(3))[0] for hold in (0.0, 9.0))
    torch.testing.assert_close(free, held, rtol=0, atol=1e-6)


def test_a_policy_of_fractions_is_held_too_and_a_resumed_run_to_the_same_start():
    class Gaussian(nn.Linear):
        def forward(self, x):
            return Independent(Normal(super().forward(x), 0.3), 1)

    task = policy_gradient(
        lambda: Gaussian(1, 1), sync_vector(Slider), [0.8], adam, batch_size=4, distillation=Distillation(weight=0.5)
    )
    assert check_task(task) == []
    trajectory.seed_all(0)
    start = state.fresh(task)
    whole, first, rest = (trajectory.Run(task, start, 1) for _ in range(3))
    trajectory.seed_all(1)
    for _ in range(4):
        whole.trainer.step()
    trajectory.seed_all(1)
    for _ in range(2):
        first.trainer.step()
    rest.load_state_dict(first.state_dict())
    for _ in range(2):
        rest.trainer.step()
    ends = [state.copied(run.model.state_dict()) for run in (whole, rest)]
    assert all(torch.equal(ends[0][n], ends[1][n]) for n in start)


@pytest.mark.parametrize(
    ("distillation", "told"),
    [
        (Distillation(weight=0.1, temperature=2.0), "has a temperature, and a policy is compared as it is"),
        (Distillation(weight=0.1, classes="all"), "has classes, and a policy has actions"),
    ],
)
def test_what_a_policy_has_not_is_refused(distillation, told):
    with pytest.raises(ConfigError, match=told):
        poles(distillation=distillation)
    assert poles(distillation=distillation.model_copy(update={"weight": 0.0}))


class Fixed(nn.Linear):
    """Whatever a test wants a policy to return."""

    def __init__(self, make):
        super().__init__(1, 1)
        self.make = make

    def forward(self, x):
        return self.make(super().forward(x))


@pytest.mark.parametrize(
    ("env", "make", "told"),
    [
        (Slider, lambda x: Categorical(logits=x.expand(-1, 3)), "takes fractions, and the policy's actions are whole"),
        (Levers, lambda x: Normal(x, 1.0), "takes whole numbers, and the policy's actions are fractions"),
        (Slider, lambda x: Independent(Normal(x.expand(-1, 2), 1.0), 1), r"have shape \[32, 2\], expected \[32, 1\]"),
    ],
)
def test_actions_of_another_kind_or_shape_are_told(env, make, told):
    task = policy_gradient(lambda: Fixed(make), sync_vector(env), [0.5], adam)
    with pytest.raises(ConfigError, match=told):
        task.measure(task.new_model())


def test_a_spread_that_underflows_is_no_distribution_and_stops_no_selection():
    task = policy_gradient(lambda: Fixed(lambda x: Normal(x, 0 * x)), sync_vector(Slider), [0.5], adam, held_out=[0.1])
    model = task.new_model()
    assert measure.measure(task, model, state.copied(model.state_dict())).total == np.inf
    assert measure.held_out(task, model).score is None  # a receiver scores every candidate


def test_a_distribution_that_torch_has_no_divergence_of_is_told():
    def mixture(x):
        parts = Independent(Normal(x.expand(-1, 2).unsqueeze(2), 1.0), 1)
        return MixtureSameFamily(Categorical(logits=x.expand(-1, 2)), parts)

    task = policy_gradient(lambda: Fixed(mixture), sync_vector(Slider), [0.5], adam, distillation=Distillation(weight=0.1))
    with pytest.raises(ConfigError, match="torch knows no KL divergence of a MixtureSameFamily"):
        task.trainer(task.new_model(), 0).step()


def test_a_policy_is_given_as_a_function():
    with pytest.raises(ConfigError, match="policy is a model, expected a function that makes a model"):
        policy_gradient(mlp(4, 2, 4), cartpole, [0.5], adam)


class Dials(Levers):
    action_space = gym.spaces.MultiDiscrete([3, 3], start=[10, 20])

    def step(self, action):
        assert self.action_space.contains(action)
        return np.ones(1, np.float32), float(action.sum() == self.value), True, False, {}


def test_composed_actions_start_where_the_space_says():
    class Two(nn.Linear):
        def forward(self, x):
            return Independent(Categorical(logits=super().forward(x).unflatten(1, (2, 3))), 1)

    assert check_task(policy_gradient(lambda: Two(1, 6), sync_vector(Dials), [32], adam)) == []


class Broken(Corridor):
    """Pays or observes what it was told to, from the second step on."""

    def __init__(self, value):
        super().__init__(9)
        self.value = value

    def step(self, action):
        observation, reward, ended, cut, info = super().step(action)
        if self.at > 1:
            reward, observation = (self.value, observation) if self.value == np.inf else (reward, observation + self.value)
        return observation, reward, ended, cut, info


def test_what_is_not_finite_is_told_apart():
    for value, told in ((np.inf, "an environment paid inf at step 2"), (np.nan, "an environment observes NaN")):
        task = policy_gradient(lambda: nn.Linear(1, 2), sync_vector(Broken), [value], adam)
        with pytest.raises(ConfigError, match=told):
            task.measure(task.new_model())
    task = poles()
    model = task.new_model()
    trainer = task.trainer(model, 0)
    for parameter in model.parameters():
        parameter.data *= np.inf
    with pytest.raises(DivergedError, match="the policy gives no distribution any more"):
        trainer.step()
    assert task.measure(model).total == np.inf  # at a candidate of the peer's: it is not chosen


class Reusing(CartPoleVectorEnv):
    """Observes through one array, as SyncVectorEnv(copy=False) does, and pays in half precision."""

    def reset(self, *, seed=None, options=None):
        self.view, info = super().reset(seed=seed, options=options)
        return self.view, info

    def step(self, action):
        self.view[:], reward, *rest = super().step(action)
        return self.view, reward.astype(np.float16), *rest


def test_an_environment_may_reuse_its_arrays():
    a, b = play(CartPoleVectorEnv(3)), play(Reusing(3))
    assert torch.equal(a.observations, b.observations)
    assert b.rewards.dtype == np.float64
    assert np.array_equal(a.rewards, b.rewards)


def test_rewards_of_another_shape_are_told():
    class Columns(CartPoleVectorEnv):
        def step(self, action):
            observation, reward, *rest = super().step(action)
            return observation, reward[:, None], *rest

    with pytest.raises(ConfigError, match=r"paid an array of shape \[3, 1\], expected \[3\]"):
        play(Columns(3))


def test_what_is_measured_is_the_plain_mean_and_what_is_shown_is_not_discounted():
    task = policy_gradient(
        lambda: nn.Linear(1, 2),
        sync_vector(Corridor),
        [2, 9],
        adam,
        evaluation_episodes=3,
        held_out=[4, 10, 16],
        max_steps=8,
        discount=0.5,
    )
    model = task.new_model()
    assert task.measure(model).total == -(1 + 0.5) - (2 - 0.5**7)  # the second is cut after 8
    assert task.held_out(model) == (4 + 8 + 8) / 3
    plain = policy_gradient(
        lambda: nn.Linear(1, 2), sync_vector(Corridor), [2, 9], adam, max_steps=8, discount=0.5, evaluation_discount=1.0
    )
    assert plain.measure(model).total == -2 - 8


def test_a_step_tells_minus_the_mean_discounted_return():
    task = policy_gradient(lambda: nn.Linear(1, 2), sync_vector(Corridor), [1, 3], adam, batch_size=3, discount=0.5)
    assert task.trainer(task.new_model(), 0).step() == -(1 + 1.75) / 2


def test_a_slot_that_plays_on_after_a_cut_is_not_said_to_have_ended():
    played = play(SyncVectorEnv([lambda: Corridor(3, cut=2), lambda: Corridor(20)]), max_steps=12)
    assert played.terminated.tolist() == [False, False]
    assert played.truncated.tolist() == [True, True]


def test_a_batch_of_32_and_reward_to_go_are_the_default():
    made = []

    def environments(values):
        made.append(len(values))
        return cartpole(values)

    runs = []
    for settings in ({}, {"estimator": "reward_to_go", "batch_size": 32}):
        task = policy_gradient(lambda: mlp(4, 2, 4), environments, LENGTHS, adam, **settings)
        trajectory.seed_all(0)
        run = trajectory.Run(task, state.fresh(task), 1)
        run.trainer.step()
        runs.append(state.copied(run.model.state_dict()))
    assert made == [32, 32]
    assert all(torch.equal(runs[0][n], runs[1][n]) for n in runs[0])


def test_a_plan_that_forbids_negative_losses_is_refused_before_any_round(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "own_environment"
    shutil.copy(example / "task.py", tmp_path)
    text = (example / "plan.toml").read_text().replace('loss = "own"\n', "")
    config = SiteFile(role="learner", task="task.py", device="cpu", settings={"masses": [1.0], "seed": 1})
    with pytest.raises(ConfigError, match="may be below 0") as told:
        load.task(tmp_path, config, plan.parse(text.encode()).plan)
    assert 'loss = "own"' in told.value.hint
    config = SiteFile(role="learner", task="task.py", device="cpu")
    with pytest.raises(ConfigError, match=r"\[settings\] in site.toml has no 'masses'"):
        load.task(tmp_path, config, plan.parse(text.encode()).plan)


def test_only_returns_travel(tmp_path, alx, monkeypatch):
    """The parties' own pole lengths stand in site.toml and nowhere in what is carried or introduced."""
    for said, fewer in (("batch_size = 32", "batch_size = 10"), ("evaluation_episodes = 32", "evaluation_episodes = 4")):
        assert said in demo_cartpole.PLAN
        monkeypatch.setattr(demo_cartpole, "PLAN", demo_cartpole.PLAN.replace(said, fewer))
    monkeypatch.setattr(demo_cartpole, "TESTED", 20)
    monkeypatch.setattr(demo_cartpole, "TURN_STEPS", 8)
    done = alx("demo", "--task", "cartpole", "--rounds", "1", "--dir", tmp_path / "demo", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert set(told) == {
        "learner_only",
        "provider_only",
        "centralised",
        "assisted",
        "fedavg",
        "alone",
        "rounds",
        "metrics",
        "samples",
        "seed",
        "seconds",
    }
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
