"""A Task out of a policy and a party's own environments: REINFORCE (paper, section 3.2), losses that are returns.

Knows policies, environments and their constants' values; knows no file and no plan. The core needs no word of this: a
loss is minus the sum over one's own environments of the mean discounted return (paper, equation 2), measured on the
same episode seeds each time.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from alx.errors import ConfigError, escape
from alx.learning.task import LossSum, Task, Trainer
from alx.tasks import rollout
from alx.tasks.rollout import Environments, Episodes

Value = TypeVar("Value")
Estimator = Literal["reward_to_go", "whole_episode"]
ESTIMATORS = ("reward_to_go", "whole_episode")


def advantages(episodes: Episodes, estimator: Estimator, discount: float) -> NDArray[np.float64]:
    """What the score of each step is multiplied with, [T, n].

    Args:
        episodes: as played.
        estimator: whole_episode: the episode's discounted return, the same for each of its steps, as the paper writes
            it. reward_to_go: the discounted rewards from the step on, minus their mean over all steps of the batch:
            the same gradient in expectation (but for the factor discount^t, left out as usual), with less noise.
        discount: of a reward one step later.
    """
    to_go = episodes.rewards_to_go(discount)
    if estimator == "whole_episode":
        return np.broadcast_to(to_go[0], to_go.shape)
    baseline: np.float64 = to_go[episodes.played].mean()
    return to_go - baseline


class Reinforce:
    """The trainer: in each step a batch of fresh episodes, dealt out over the environments, and one optimiser step.

    Args:
        policy: trained in place.
        envs: one slot an episode; slot i plays environment i modulo `environments`.
        environments: how many there are.
        estimator: see `advantages`.
        discount: see `advantages`.
        optimiser: makes an optimiser of the parameters.
        max_steps: an episode is cut after so many.
        device: where the policy lives.
    """

    def __init__(
        self,
        policy: nn.Module,
        envs: Any,
        environments: int,
        estimator: Estimator,
        discount: float,
        optimiser: Callable[[Any], torch.optim.Optimizer],
        max_steps: int,
        device: torch.device,
    ) -> None:
        self._policy, self._envs, self._device = policy, envs, device
        self._estimator, self._discount, self._max_steps = estimator, discount, max_steps
        self._optimiser = optimiser(policy.parameters())
        slot = np.arange(envs.num_envs) % environments
        # each environment counts the same, however many of the episodes it got
        self._weight = 1 / (environments * np.bincount(slot)[slot])

    def step(self) -> float:
        """Play, and climb; returns minus the mean discounted return of what was played."""
        seed = int(torch.randint(1 << 31, ()))
        played = rollout.play(self._envs, self._policy, self._max_steps, seed, self._device)
        weight = advantages(played, self._estimator, self._discount) * self._weight
        mask = torch.from_numpy(played.played)
        output = rollout.distribution(self._policy(played.observations[mask].to(self._device)))
        log_prob = output.log_prob(played.actions[mask].to(self._device))
        score = log_prob.reshape(len(log_prob), -1).sum(1)
        factor = torch.from_numpy(weight[played.played]).to(score.dtype).to(self._device)
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(-(factor * score).sum())
        self._optimiser.step()
        return -float(played.rewards_to_go(self._discount)[0] @ self._weight)

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's; environments are seeded anew in each step."""
        return {"optimiser": self._optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._optimiser.load_state_dict(state["optimiser"])


def policy_gradient(
    policy: Callable[[], nn.Module],
    environments: Environments[Value],
    parameters: Sequence[Value],
    optimiser: Callable[[Any], torch.optim.Optimizer],
    *,
    batch_size: int = 32,
    estimator: Estimator = "reward_to_go",
    discount: float = 0.99,
    max_steps: int = 500,
    evaluation_episodes: int = 32,
    held_out: Sequence[Value] = (),
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Task:
    """Make a Task of a reinforcement learning problem (paper, Algorithm 2, AssistPG).

    The parameters stay here: what travels is a return summed over all environments, and how many there are.

    Args:
        policy: a function that makes the policy; observations float32 [n, …] -> logits [n, actions], or a
            torch.distributions.Distribution over n actions. No dropout, no batch norm: what is played is what is learnt.
        environments: (values) -> a gymnasium VectorEnv with one sub-environment for each value; `sync_vector(make)`
            makes such a function out of one that makes a single environment.
        parameters: the party's own, one an environment: pole lengths, engine powers.
        optimiser: `lambda parameters: torch.optim.Adam(parameters, lr=5e-3)` for example.
        batch_size: episodes a step, at least one an environment; dealt out in turn, each environment weighted the same.
        estimator: see `advantages`.
        discount: of a reward one step later, above 0, at most 1.
        max_steps: an episode is cut after so many; an environment's own time limit may be shorter.
        evaluation_episodes: an environment, for the loss; all are played side by side.
        held_out: values kept apart; the mean undiscounted return, one episode each, is shown and never sent.
        seed: of the episodes that losses and scores are measured on.
        device: where the policy lives.

    Raises:
        ConfigError: a setting is out of range; when used, environments or policy do not fit.
    """
    refused = _faults(len(parameters), batch_size, estimator, discount, max_steps, evaluation_episodes)
    if refused is not None:
        raise ConfigError(refused, "look at [settings] and batch_size in the plan, and at [settings] in site.toml")
    place = torch.device(device)

    @functools.cache
    def slots(kind: str) -> Any:
        wanted = {
            "train": [parameters[i % len(parameters)] for i in range(batch_size)],
            "measure": [p for p in parameters for _ in range(evaluation_episodes)],
            "held_out": list(held_out),
        }[kind]
        made = environments(wanted)
        rollout.refuse_unfit(made, len(wanted))
        return made

    def returns(kind: str, net: nn.Module, gamma: float) -> NDArray[np.float64]:
        with torch.random.fork_rng(devices=[] if place.type == "cpu" else None):
            torch.manual_seed(seed)
            played = rollout.play(slots(kind), net, max_steps, seed, place)
        return np.asarray(played.rewards_to_go(gamma)[0])

    def trainer(net: nn.Module, _seed: int) -> Trainer:  # all that is random comes from torch's global state
        return Reinforce(net, slots("train"), len(parameters), estimator, discount, optimiser, max_steps, place)

    def measure(net: nn.Module) -> LossSum:
        return LossSum(-float(returns("measure", net, discount).sum() / evaluation_episodes), len(parameters))

    return Task(
        new_model=lambda: policy().to(place),
        trainer=trainer,
        measure=measure,
        held_out=(lambda net: float(returns("held_out", net, 1.0).mean())) if held_out else None,
    )


def _faults(
    environments: int, batch_size: int, estimator: str, discount: float, max_steps: int, evaluation_episodes: int
) -> str | None:
    """The first setting that is out of range, in words."""
    if environments < 1:
        return "there are no parameters, expected one for each environment"
    if batch_size < environments:
        return f"batch_size is {batch_size} episodes, expected at least one for each of the {environments} environments"
    if estimator not in ESTIMATORS:
        return f"estimator is '{escape(str(estimator))}', expected one of {', '.join(ESTIMATORS)}"
    if not 0 < discount <= 1:
        return f"discount is {discount}, expected above 0, at most 1"
    counts = {"max_steps": max_steps, "evaluation_episodes": evaluation_episodes}
    return next((f"{name} is {value}, expected at least 1" for name, value in counts.items() if value < 1), None)
