"""Play episodes side by side, each exactly once, and keep what happened.

Knows gymnasium's vector environments and a policy; knows no estimator and no plan. An episode's first step is that of
a seeded reset. Once it ended, whatever its slot does until all have ended (gymnasium's NEXT_STEP autoreset spends one
step on a reset, and then plays on) is masked out: no reward and no action after the end counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

from alx.errors import ConfigError, DivergedError

Value = TypeVar("Value")
Environments = Callable[[Sequence[Value]], VectorEnv[Any, Any, Any]]
"""(values of a physical constant) -> a vector environment with one sub-environment for each."""

_CONTINUOUS = "for continuous actions return Independent(Normal(mean, std), 1)"
_NO_NUMBERS = ("probability tensor contains", "Expected parameter")  # torch, of weights that overflow or are NaN
_ACTIONS = (gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary, gym.spaces.Box)


@dataclass(frozen=True, slots=True)
class Episodes:
    """n episodes of at most T steps, time first.

    Attributes:
        observations: float32 [T, n, …], what the policy saw before each step; [0] where they were not kept.
        actions: [T, n] or [T, n, …], what it chose; [0] where they were not kept.
        rewards: float64 [T, n]; 0 after the end.
        played: bool [T, n]; False after the end.
        terminated: bool [n]; the game itself ended.
        truncated: bool [n]; cut by a time limit, the environment's or `max_steps`: the game would have gone on. Never
            both: where an environment says both at once, the game ended.
    """

    observations: Tensor
    actions: Tensor
    rewards: NDArray[np.float64]
    played: NDArray[np.bool_]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]

    def rewards_to_go(self, discount: float) -> NDArray[np.float64]:
        """Discounted sum of the rewards from each step to the end, [T, n]; the first row is the episodes' return.

        A truncated episode's ends at the cut: the horizon is finite, as in the paper, and nothing stands for the rest.
        """
        out = np.zeros_like(self.rewards)
        following = np.zeros(self.rewards.shape[1])
        for t in reversed(range(len(out))):
            following = out[t] = self.rewards[t] + discount * following
        return out


def distribution(output: Any, space: gym.Space[Any]) -> Distribution:
    """What a policy's output means: logits [n, actions], or a torch distribution over a batch of n actions.

    Args:
        output: the policy's.
        space: of one environment's actions.

    Raises:
        ConfigError: it is neither, or there is not one logit for each action.
    """
    if isinstance(output, Distribution):
        return output
    if not isinstance(space, gym.spaces.Discrete):
        got = f"a {type(output).__name__}, and its actions are no numbers from a list (a {type(space).__name__})"
        raise ConfigError(f"the policy returned {got}: expected a torch.distributions.Distribution", _CONTINUOUS)
    if not isinstance(output, Tensor) or output.ndim != 2:  # noqa: PLR2004 - [n, actions]
        got = f"a tensor of shape {list(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ConfigError(f"the policy returned {got}, expected logits [n, {space.n}] or a torch.distributions.Distribution")
    if output.shape[1] != space.n:
        raise ConfigError(f"the policy returned {output.shape[1]} logits, expected {space.n}, one for each action")
    return Categorical(logits=output, validate_args=False)


def play(
    envs: VectorEnv[Any, Any, Any], policy: nn.Module, max_steps: int, seed: int, device: torch.device, *, keep: bool = True
) -> Episodes:
    """Play one episode in each sub-environment. Actions are drawn from torch's global random state.

    Args:
        envs: reset with `seed`; what they did before does not matter.
        policy: observations float32 [n, …] -> see `distribution`; used as it is, without gradients.
        max_steps: an episode is cut after so many.
        seed: of the environments; the same seeds and the same random state give the same episodes, bit for bit (CPU).
        device: where the policy lives.
        keep: observations and actions, to learn from.

    Raises:
        ConfigError: the policy's output, an observation or a reward cannot be used.
        DivergedError: the policy gives NaN.
    """
    space, n = envs.single_action_space, envs.num_envs
    observation, _ = envs.reset(seed=seed)
    alive = np.ones(n, dtype=np.bool_)
    terminated, truncated = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    observations, actions, rewards, played = [], [], [], []
    with torch.no_grad():
        for _ in range(max_steps):
            seen = torch.tensor(np.asarray(observation), dtype=torch.float32)  # a copy: an environment may reuse its own
            action = _draw(policy, seen.clone(), space, device)  # a policy may write into what it is given
            observation, reward, ended, cut, _ = envs.step(_taken(action, space))
            if keep:
                observations.append(seen)
                actions.append(action)
            rewards.append(np.where(alive, _paid(reward, n), 0.0))
            played.append(alive)
            terminated |= alive & ended
            truncated |= alive & cut & ~ended
            alive = alive & ~(ended | cut)
            if not alive.any():
                break
    paid = np.stack(rewards)
    if not np.isfinite(paid).all():
        step, slot = np.argwhere(~np.isfinite(paid))[0]
        raise ConfigError(
            f"an environment paid {paid[step, slot]} at step {step + 1} of an episode, expected a finite number",
            "look at its parameters, and at its reward",
        )
    none = torch.empty(0)
    return Episodes(
        torch.stack(observations) if keep else none,
        torch.stack(actions) if keep else none,
        paid,
        np.stack(played),
        terminated,
        truncated | alive,
    )


def _draw(policy: nn.Module, seen: Tensor, space: gym.Space[Any], device: torch.device) -> Tensor:
    """An action for each observation."""
    try:
        return distribution(policy(seen.to(device)), space).sample().cpu()
    except (RuntimeError, ValueError) as error:
        if not str(error).startswith(_NO_NUMBERS):
            raise
        if not bool(torch.isfinite(seen).all()):
            raise ConfigError("an environment observes NaN or infinity", "look at its parameters") from error
        raise DivergedError("the policy gives no distribution any more", "lower the learning rate in the plan") from error


def _paid(reward: Any, n: int) -> NDArray[np.float64]:
    """The slots' rewards [n].

    Raises:
        ConfigError: they have another shape.
    """
    paid = np.asarray(reward, dtype=np.float64)
    if paid.shape != (n,):
        raise ConfigError(f"the environments paid an array of shape {list(paid.shape)}, expected [{n}], one number for each")
    return paid


def _taken(action: Tensor, space: gym.Space[Any]) -> NDArray[Any]:
    """The actions [n, …] as the environments take them: numbered from the space's start, or within its bounds.

    Raises:
        ConfigError: they are of another kind or shape.
    """
    chosen: NDArray[Any] = action.numpy()
    continuous = np.issubdtype(np.dtype(space.dtype), np.floating)
    if continuous != action.is_floating_point() and not isinstance(space, gym.spaces.MultiBinary):  # a Bernoulli's 0.0, 1.0
        kinds = ("fractions", "whole numbers") if continuous else ("whole numbers", "fractions")
        hint = _CONTINUOUS if continuous else "return logits, one for each action"
        raise ConfigError(f"the environment takes {kinds[0]}, and the policy's actions are {kinds[1]}", hint)
    expected = (len(chosen), *(space.shape or ()))
    if chosen.size != np.prod(expected):
        raise ConfigError(f"the policy's actions have shape {list(chosen.shape)}, expected {list(expected)}")
    chosen = chosen.reshape(expected)
    if isinstance(space, (gym.spaces.Discrete, gym.spaces.MultiDiscrete)):
        chosen = chosen + space.start
    if isinstance(space, gym.spaces.Box):
        chosen = chosen.clip(space.low, space.high)
    return chosen.astype(space.dtype)


class _Once(gym.Wrapper[Any, Any, Any, Any]):
    """After an episode's end nothing more is computed until the next seeded reset: steps return zero reward."""

    _last: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed is None and self._last is not None:  # an autoreset
            return self._last, {}
        self._last = None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self._last is not None:
            return self._last, 0.0, False, False, {}
        observation, reward, terminated, truncated, _ = self.env.step(action)
        if terminated or truncated:
            self._last = observation
        return observation, reward, terminated, truncated, {}


def sync_vector(make: Callable[[Value], gym.Env[Any, Any]]) -> Environments[Value]:
    """Environments out of a function that makes one: gymnasium's SyncVectorEnv, where a slot rests after its episode.

    Args:
        make: (value of the physical constant) -> an environment; `reset(seed=…)` settles all that is random in it.
    """

    def side_by_side(values: Sequence[Value]) -> VectorEnv[Any, Any, Any]:
        return SyncVectorEnv([lambda v=v: _Once(make(v)) for v in values])  # type: ignore[misc]

    return side_by_side


def refuse_unfit(envs: VectorEnv[Any, Any, Any], count: int) -> None:
    """What `play` cannot use, told before anything is played.

    Args:
        envs: as the user made them.
        count: of the values they were made for.

    Raises:
        ConfigError: they are no vector environment of `count` slots, observe no array, take actions of another kind
            than arrays, or do not start over.
    """
    if not isinstance(envs, VectorEnv):
        raise ConfigError(
            f"environments returned a {type(envs).__name__}, expected a gymnasium VectorEnv",
            "alx.tasks.sync_vector(make) makes one out of a function that makes a single environment",
        )
    if envs.num_envs != count:
        raise ConfigError(f"environments made {envs.num_envs} sub-environments for {count} values, expected one for each")
    if not isinstance(envs.single_observation_space, gym.spaces.Box):
        kind = type(envs.single_observation_space).__name__
        raise ConfigError(
            f"the environment observes a {kind}, expected an array (Box)",
            "wrap each in gymnasium.wrappers.FlattenObservation",
        )
    if not isinstance(envs.single_action_space, _ACTIONS):
        kind = type(envs.single_action_space).__name__
        raise ConfigError(f"the environment takes a {kind}, expected one of {', '.join(s.__name__ for s in _ACTIONS)}")
    if envs.metadata.get("autoreset_mode") == AutoresetMode.DISABLED:
        raise ConfigError(
            "the vector environment has autoreset disabled, and refuses to step an episode that ended",
            "make it with gymnasium's default, AutoresetMode.NEXT_STEP",
        )
