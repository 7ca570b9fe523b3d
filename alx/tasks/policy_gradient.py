"""A Task out of a policy and a party's own environments: REINFORCE (paper, section 3.2), losses that are returns.

Knows policies, environments, their constants' values, and the plan's [distillation]; knows no file. The core needs no word
of this: a loss is minus the sum over one's own environments of the mean discounted return (paper, equation 2), measured on
the same episode seeds each time.
"""

import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence, Sized
from itertools import chain
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from alx.errors import ConfigError, DivergedError, escape
from alx.learning.task import LossSum, Task, Trainer
from alx.learning.trajectory import seed_torch
from alx.tasks import rollout
from alx.tasks.descent import Descent
from alx.tasks.fresh import refuse_model
from alx.tasks.objective import refuse_optimiser
from alx.tasks.rollout import Environments, Episodes
from alx.training import Distillation, Training

Value = TypeVar("Value")
Estimator = Literal["reward_to_go", "whole_episode"]
FREE = Distillation()
PLAIN = Training()
_OF_POLICIES = ("schedule", "clip", "no_decay", "validations", "patience")  # of [training]
SEEDS = 1 << 31  # of a training step's environments; gymnasium takes any int from 0, and adds the slot's number


def advantages(episodes: Episodes, estimator: Estimator, discount: float) -> NDArray[np.float64]:
    """What the score of each step is multiplied with, [T, n].

    Args:
        episodes: as played.
        estimator: whole_episode: the episode's discounted return, the same for each of its steps, as the paper writes
            it. reward_to_go: the discounted rewards from the step on, minus their mean over all steps of the batch;
            less noise. The factor discount^t is left out, as usual. The mean holds each episode's own rewards, which
            shrinks the step: a bias of the order of 1 / episodes (docs/decisions/0008-policy-gradients.md).
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
        training: the plan's [training]: schedule, clip and no_decay.
        hold: how firmly the policy is held to the one it was when the trainer was made: to the loss comes this weight times
            the standard deviation of the advantages times KL(that policy || this one), summed over steps and averaged over
            episodes as the scores are. So it means the same whatever a reward is worth, and however long episodes are.
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
        hold: float = 0.0,
        training: Training = PLAIN,
    ) -> None:
        self._policy, self._envs, self._device = policy, envs, device
        self._estimator, self._discount, self._max_steps = estimator, discount, max_steps
        self._descent = Descent(policy, optimiser, training)
        self._held, self._start = hold, copy.deepcopy(policy).eval() if hold else policy
        slot = np.arange(envs.num_envs) % environments
        # each environment counts the same, however many of the episodes it got
        self._weight = 1 / (environments * np.bincount(slot)[slot])

    def pace(self, steps: int) -> None:
        """How many steps the turn has: its learning rate may go by them."""
        self._descent.pace(steps)

    def rate(self) -> float | None:
        """The learning rate of the last step."""
        return self._descent.rate()

    def step(self) -> float:
        """Play, and climb; returns minus the mean discounted return of what was played."""
        seed = int(torch.randint(SEEDS, ()))
        played = rollout.play(self._envs, self._policy, self._max_steps, seed, self._device)
        gain = advantages(played, self._estimator, self._discount)
        mask = torch.from_numpy(played.played)
        space = self._envs.single_action_space
        output = rollout.distribution(self._policy(played.observations[mask].to(self._device)), space)
        log_prob = output.log_prob(played.actions[mask].to(self._device))
        score = log_prob.reshape(len(log_prob), -1).sum(1)
        factor = torch.from_numpy((gain * self._weight)[played.played]).to(score.dtype).to(self._device)
        loss = -(factor * score).sum()
        if self._held:
            weight = np.broadcast_to(self._weight, gain.shape)[played.played]
            weight = weight * self._held * gain[played.played].std()
            loss = loss + self._hold(played.observations[mask], output, weight)
        self._descent.zero_grad()
        torch.autograd.backward(loss)
        self._descent.step()
        return -float(played.rewards_to_go(self._discount)[0] @ self._weight)

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's; environments are seeded anew in each step."""
        return {"descent": self._descent.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._descent.load_state_dict(state["descent"])

    def kept(self) -> dict[str, Any]:
        """The optimiser's state."""
        return self._descent.kept()

    def take_up(self, kept: dict[str, Any]) -> None:
        """Go on with the optimiser's state of another turn."""
        self._descent.take_up(kept)

    def _hold(self, seen: Tensor, output: Distribution, weight: NDArray[np.float64]) -> Tensor:
        """The weighted sum of KL(start's policy || this one) over the steps [n], one weight for each."""
        with torch.no_grad():
            before = rollout.distribution(self._start(seen.to(self._device)), self._envs.single_action_space)
        try:
            apart = kl_divergence(before, output)
        except NotImplementedError as error:
            kinds = " from a ".join(dict.fromkeys(type(d).__name__ for d in (before, output)))
            raise ConfigError(
                f"the plan has [distillation], and torch knows no KL divergence of a {kinds}",
                "set its weight to 0, on both sides, or let the policy return a Categorical or a Normal, say",
            ) from error
        each = apart.reshape(len(apart), -1).sum(1)
        return (torch.from_numpy(weight).to(each.dtype).to(self._device) * each).sum()


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
    evaluation_discount: float | None = None,
    held_out: Sequence[Value] = (),
    seed: int = 0,
    device: str | torch.device = "cpu",
    distillation: Distillation = FREE,
    training: Training = PLAIN,
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
        evaluation_discount: of the returns that are measured, and so selected by; None is `discount`, as in the paper. With
            1 what comes late in an episode counts in a selection, too.
        held_out: values kept apart; the mean undiscounted return, one episode each, is shown and never sent.
        seed: of the episodes that losses and scores are measured on. Each side may have its own, and should where its
            parameters are worth guessing: who knows the seed can play the very episodes that a loss was measured on.
        device: where the policy lives.
        distillation: `settings.plan.distillation`: a trust region. Its weight is `hold` of `Reinforce`; 1 is stiff.
            It has neither temperature nor classes here.
        training: `settings.plan.training`: of it schedule, clip and no_decay; what is about samples is refused.

    Raises:
        ConfigError: a setting is out of range; when used, environments or policy do not fit.
    """
    counts = {"batch_size": batch_size, "max_steps": max_steps, "evaluation_episodes": evaluation_episodes}
    measured_by = discount if evaluation_discount is None else evaluation_discount
    discounts = {"discount": discount, "evaluation_discount": measured_by}
    refuse_model(policy, "policy")
    refuse_optimiser(optimiser)
    refused = next(chain(_faults(parameters, estimator, discounts, counts), _misfits(distillation, training)), None)
    if refused is not None:
        raise ConfigError(
            refused, "look at [settings], [training] and batch_size in the plan, and at [settings] in site.toml"
        )
    place = torch.device(device)
    number = len(parameters)

    def made_once(values: Sequence[Value]) -> Callable[[], Any]:
        @functools.cache  # making hundreds of environments costs more than playing in them
        def slots() -> Any:
            made = environments(values)
            rollout.refuse_unfit(made, len(values))
            return made

        return slots

    trained = made_once([parameters[i % number] for i in range(batch_size)])
    measured = made_once([p for p in parameters for _ in range(evaluation_episodes)])
    kept_apart = made_once(held_out)

    def returns(envs: Any, net: nn.Module, gamma: float) -> NDArray[np.float64]:
        with torch.random.fork_rng(devices=[] if place.type == "cpu" else [place]):
            seed_torch(seed)
            try:
                played = rollout.play(envs, net, max_steps, seed, place, keep=False)
            except DivergedError:  # at a candidate of the peer's: it is not chosen, and the others are looked at
                return np.full(envs.num_envs, -math.inf)
        return np.asarray(played.rewards_to_go(gamma)[0])

    def trainer(net: nn.Module, _seed: int) -> Trainer:  # all that is random comes from torch's global state
        return Reinforce(
            net, trained(), number, estimator, discount, optimiser, max_steps, place, distillation.weight or 0.0, training
        )

    def measure(net: nn.Module) -> LossSum:
        return LossSum(-float(returns(measured(), net, measured_by).sum() / evaluation_episodes), number)

    return Task(
        new_model=lambda: policy().to(place),
        trainer=trainer,
        measure=measure,
        held_out=(lambda net: float(returns(kept_apart(), net, 1.0).mean())) if len(held_out) else None,
        signed=True,
    )


def _faults(parameters: Any, estimator: Any, discounts: dict[str, Any], counts: dict[str, Any]) -> Iterator[str]:
    """The settings that are out of range, in words."""
    if isinstance(parameters, str) or not isinstance(parameters, Sized):
        yield f"parameters is {escape(repr(parameters), 60)}, expected a list with a value for each environment"
    elif not len(parameters):
        yield "there are no parameters, expected one for each environment"
    for name, value in counts.items():
        if type(value) is not int or value < 1:
            yield f"{name} is {escape(repr(value), 60)}, expected a whole number, at least 1"
        elif name == "batch_size" and value < len(parameters):
            yield f"batch_size is {value} episodes, expected at least one for each of the {len(parameters)} environments"
    if estimator not in get_args(Estimator):
        yield f"estimator is {escape(repr(estimator), 60)}, expected one of {', '.join(get_args(Estimator))}"
    elif estimator == "reward_to_go" and counts["batch_size"] == 1:
        yield "batch_size is 1 episode, and reward_to_go compares at least two"
    for name, discount in discounts.items():
        if type(discount) not in (int, float) or not 0 < discount <= 1:
            yield f"{name} is {escape(repr(discount), 60)}, expected a number above 0, at most 1"


def _misfits(distillation: Distillation, training: Training) -> Iterator[str]:
    """What a plan's [distillation] or [training] says that a policy has not, in words."""
    plain = Training().model_copy(update={name: getattr(training, name) for name in _OF_POLICIES})
    for name in (name for name, value in training if value != getattr(plain, name)):
        yield f"[training] {name} is about samples, and a policy has episodes"
    if distillation.weight and distillation.temperature != 1:
        yield "[distillation] has a temperature, and a policy is compared as it is"
    if distillation.weight and "classes" in distillation.model_fields_set:
        yield "[distillation] has classes, and a policy has actions: all of them are compared"
