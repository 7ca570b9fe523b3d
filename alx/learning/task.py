"""The one seam: what a user brings. Read this and `alx/bundle/manifest.py` to see all that can leave a site.

Knows torch's types; knows nothing of files, keys and peers. Private data reach the core as loss sums, a sample count
and a model's state, through no other door.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from alx.learning.noise import Guard
from alx.training import Training

if TYPE_CHECKING:
    from alx.learning.head import Head

State = Mapping[str, Tensor]
"""What travels of a model, by name: its `state_dict()`, unless the task says otherwise (`Task.state`)."""


def whole_state(model: nn.Module) -> State:
    """All parameters and buffers: `Task.state` where a task has none of its own."""
    return model.state_dict()


def load_whole(model: nn.Module, state: State) -> None:
    """The inverse of `whole_state`.

    Raises:
        RuntimeError: the names or shapes are others.
    """
    model.load_state_dict(dict(state))


def nothing(_model: nn.Module) -> State:
    """No tensors: `Task.frozen` where there are none."""
    return {}


@dataclass(frozen=True, slots=True)
class LossSum:
    """A loss summed over one's own samples (paper, equation 1: sums add up over sites, means do not).

    Attributes:
        total: the sum, lower is better; its unit is that of the loss.
        count: number of samples it is a sum over, at least 1, the same at every call.
    """

    total: float
    count: int


def exact_sum(losses: Iterable[float]) -> float:
    """The sum, rounded once and so the same in any order; NaN or infinite where it is not finite."""
    try:
        return math.fsum(losses)
    except OverflowError:
        return math.inf
    except ValueError:  # infinity and minus infinity
        return math.nan


Values = Mapping[str, float | None]
"""Numbers by name; None where one means nothing, or is not known."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model is worth on samples kept apart: shown to people, never sent.

    Attributes:
        values: by name. The first is compared from one selection to the next, and is higher where it is better.
        majority: the same of the best answer that needs no model: the same for every sample.
        groups: by column and its value, the same of those samples alone.
        confusion: how many samples of each class, by its name, were answered with each class, in the same order.
    """

    values: Values
    majority: Values = field(default_factory=dict)
    groups: dict[str, dict[str, Values]] = field(default_factory=dict)
    confusion: dict[str, list[int]] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """The one that is compared; None where it is not finite."""
        return next(iter(self.values.values()), None)


class Trainer(Protocol):
    """torch's Stateful, plus one step. Made anew for each turn. It may be more: `Averager`, `Keeper`, `Paced`, `Rated`."""

    def step(self) -> float:
        """Take one optimiser step on the model it was made for.

        Returns:
            The training loss (mean over the batch), for the progress bar.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on after a crash, but for the model's `Task.state` and torch's global random state.

        Tensors, numbers, strings, lists and dicts only: it is written without pickled objects.
        """
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        ...


@runtime_checkable
class Averager(Trainer, Protocol):
    """A trainer that offers other weights than those it trains: a running mean of them, say."""

    def snapshot(self) -> State:
        """The weights to sample now, in the form of `Task.state`; those being trained, and the run, are left alone."""
        ...


@runtime_checkable
class Keeper(Trainer, Protocol):
    """A trainer that hands something on to its side's next turn, where the plan says `keep`: its optimiser's state."""

    def kept(self) -> dict[str, Any]:
        """What is handed on, of the same kinds as `state_dict()`, which holds it too. It stays on this site."""
        ...

    def take_up(self, kept: dict[str, Any]) -> None:
        """Begin with what the trainer of this side's turn before handed on. Called before the first step."""
        ...


@runtime_checkable
class Paced(Trainer, Protocol):
    """A trainer that goes by the length of its turn: a learning rate that falls towards its end, say."""

    def pace(self, steps: int) -> None:
        """Called once, before anything else: the turn has so many steps; by validation it may end before."""
        ...


@runtime_checkable
class Rated(Trainer, Protocol):
    """A trainer that can say its learning rate, for the log."""

    def rate(self) -> float | None:
        """That of the last step; None where it has none."""
        ...


@dataclass(frozen=True, slots=True)
class SampleLosses:
    """The loss of each sample by itself.

    Attributes:
        count: number of samples, as `LossSum` has it.
        of: (models, indices int64 [n] on the CPU) -> float64 [models, n] on the CPU: the loss of each of these samples at
            each of these models, the same whatever is beside it, and never below 0. Called in evaluation mode without
            gradients. Over all samples it adds up to `measure`'s total.
        devices: that models are measured on at once.
    """

    count: int
    of: Callable[[Sequence[nn.Module], Tensor], Tensor]
    devices: int = 1


@dataclass(frozen=True, slots=True)
class Canaries:
    """Samples that a fair coin decided about.

    Attributes:
        losses: of each.
        classes: () -> the class number of each, as in `Members`.
        inside: whether it is trained on, bool [n] on the CPU.
    """

    losses: SampleLosses
    classes: Callable[[], Tensor]
    inside: Tensor


@dataclass(frozen=True, slots=True)
class Members:
    """Losses of single samples, trained on and not: what the attacks of `alx leakage` compare. They never leave the site.

    Attributes:
        own: of the samples that the site trains on.
        apart: of those that it keeps apart.
        classes: () -> the class number of each, int64 [n] on the CPU: of own samples, of those kept apart. The same for all
            where a sample has no class.
        canaries: optional: samples that a coin put among those trained on, or left out.
    """

    own: SampleLosses
    apart: SampleLosses
    classes: Callable[[], tuple[Tensor, Tensor]]
    canaries: Canaries | None = None


Kind = Literal["classes", "labels", "numbers"]
Objective = dict[str, list[float | None]]
"""The loss of made-up samples by kind of their targets and shape; see `alx.tasks.probe`."""


@dataclass(frozen=True, slots=True)
class Task:
    """A record of plain functions. Make one with `alx.tasks.supervised`, or by hand.

    Attributes:
        new_model: a model with its initial weights; called after torch's random state was seeded with the plan's seed.
        trainer: (model, seed) -> Trainer of that model on one's own data.
        measure: (model) -> LossSum over one's own data; called in evaluation mode without gradients; repeatable.
        held_out: optional (model) -> what it is worth on data kept apart: a number, higher is better; or numbers by name, of
            which the first is; or `Scores`. Shown to people, never sent.
        signed: losses may be below 0, as minus a return is; the plan then has to say `loss = "own"`.
        sample_losses: optional: the terms of `measure`'s sum one by one, where none is below 0. With it candidates that
            cannot win are not measured at all samples, and samples are read once for several models.
        members: optional: losses of samples trained on, beside those of samples kept apart; `alx leakage` needs them.
        objective: optional: (seed) -> the loss at made-up samples drawn from that seed, no own data in it; pairing
            compares it with the peer's, as sums of different losses mean nothing.
        inputs: optional: what a sample is made of, `pixels`, `table` or `numbers`; pairing compares it too.
        training: optional: the [training] that its steps go by; None where the task does not say. Where the plan has
            another, `alx check` says so.
        selects_on: optional: which of its samples `measure` sums over; it has to be what the plan says.
        trained: optional: the number of samples that it trains on, where that is known.
        data: optional: () -> SHA-256, in hexadecimal, of one's own samples as they are read. The site remembers it, since a
            loss of before is compared with one of now; it is never sent.
        state: (model) -> the tensors that travel, the model's own or copies, by the names that the model has for them; what
            wraps it (`module.`) may be left out of a name. A tensor of another name is no parameter to a blend. All that
            training changes and that a loss depends on is there: the rest is the same in every new model, on both sides.
        load: (model, state) -> None, the inverse: makes a new model the one that `state` was taken of, bit for bit.
        frozen: (model) -> tensors that nothing changes and that are the same in every new model, on both sides: they stay at
            home, and pairing compares their digest.
        personal: names of those tensors of `state` that stay at home: each site has its own. The rest travels.
        private: optional: (guard) -> as `trainer`, with the gradient of each sample clipped and noise added to every step.
            Where the plan has [privacy], no other steps are taken.
        head: optional: its last layer, where that alone is trained and the plan has it solved for ([model] ridge).
    """

    new_model: Callable[[], nn.Module]
    trainer: Callable[[nn.Module, int], Trainer]
    measure: Callable[[nn.Module], LossSum]
    held_out: Callable[[nn.Module], float | Values | Scores] | None = None
    signed: bool = False
    sample_losses: SampleLosses | None = None
    members: Members | None = None
    objective: Callable[[int], Objective] | None = None
    inputs: Literal["pixels", "table", "numbers"] | None = None
    training: Training | None = None
    selects_on: Literal["training", "validation"] | None = None
    trained: int | None = None
    data: Callable[[], str] | None = None
    state: Callable[[nn.Module], State] = whole_state
    load: Callable[[nn.Module, State], None] = load_whole
    frozen: Callable[[nn.Module], State] = nothing
    personal: frozenset[str] = frozenset()
    private: Callable[[Guard], Callable[[nn.Module, int], Trainer]] | None = None
    head: "Head | None" = None
