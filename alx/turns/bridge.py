"""Between the two worlds: a model's tensors and the flat state that travels."""

from torch import Tensor, nn

from alx.bundle import identity
from alx.bundle.frozen import Frozen, refuse_other
from alx.bundle.identity import IdentityFile
from alx.bundle.layout import Layout, check_model, layout_order
from alx.bundle.layout import Tensor as TensorSpec
from alx.errors import ConfigError
from alx.learning import state
from alx.learning.task import Objective, State, Task
from alx.plan import Plan
from alx.tasks.check import MOVED


def layout_of(tensors: State) -> Layout:
    """How a model's state lies in a bundle.

    Raises:
        ConfigError: something in it cannot travel.
    """
    described = state.describe(tensors)
    return Layout(tuple(layout_order(TensorSpec(name=n, dtype=d, shape=s) for n, d, s in described)))  # type: ignore[arg-type]


def to_flat(tensors: State, layout: Layout) -> bytes:
    """A model's state as it travels."""
    return state.to_bytes(tensors, [t.name for t in layout.tensors])


def from_flat(flat: bytes | memoryview, layout: Layout) -> dict[str, Tensor]:
    """The inverse of `to_flat`."""
    return state.from_bytes(flat, [(t.name, t.dtype, t.shape) for t in layout.tensors])


def as_sent(plan: Plan, tensors: State) -> State:
    """A state as the plan has it measured and sent: rounded, or as it is."""
    return state.rounded(tensors) if plan.rounds_weights else tensors


def frozen_of(task: Task, model: nn.Module) -> Frozen | None:
    """What of a model stays at home because nothing changes it; None where nothing does.

    Raises:
        ConfigError: something in it cannot be named.
    """
    return frozen_in(task.frozen(model))


def frozen_in(held: State) -> Frozen | None:
    """The same of frozen tensors by themselves."""
    return Frozen.of(layout_of(held), state.digests(held)) if held else None


def same_model(task: Task, agreed: IdentityFile) -> None:
    """The task's model is the one that was paired, and so are its frozen weights.

    Raises:
        ModelError: it was changed since.
    """
    model = task.new_model()
    check_model(layout_of(state.travels(task, task.state(model))).tensors, Layout(tuple(agreed.tensors)))
    refuse_other(frozen_of(task, model), agreed.frozen, "this site's")


def refuse_moved(task: Task, model: nn.Module, agreed: IdentityFile) -> None:
    """Training left alone what stays at home: the peer measures with what it has.

    Raises:
        ConfigError: it did not.
    """
    if frozen_of(task, model) != agreed.frozen:
        raise ConfigError("training changed frozen weights, which do not travel", MOVED)


def objective_of(plan: Plan, task: Task) -> Objective | None:
    """The task's losses at samples made up from the plan's seed, or None where none could be made up."""
    return (None if task.objective is None else task.objective(plan.seed)) or None


def same_objective(plan: Plan, task: Task, agreed: IdentityFile) -> None:
    """The task's loss is the one that was paired.

    Raises:
        ConfigError: it was changed since.
    """
    told = identity.differ(objective_of(plan, task), agreed.objective)
    if told:
        raise ConfigError(f"the task's loss changed since pairing: {told}", "put it back, or make new sites on both sides")


def same_count(count: int, samples: int) -> None:
    """A loss is a sum over the samples that the peer was told of, or sums of two rounds cannot be compared.

    Raises:
        ConfigError: the data changed.
    """
    if count != samples:
        raise ConfigError(
            f"the data changed since pairing: {samples} samples then, {count} now",
            "put them back, or make a new site on both sides",
        )


def refuse_negative(plan: Plan, total: float) -> None:
    """The peer would refuse it, after the disk was carried.

    Raises:
        ConfigError: the plan's objective is never below 0, and the loss is.
    """
    if plan.loss != "own" and total < 0:
        raise ConfigError(
            f"the task's loss sum is {total:g}, and {plan.loss} is never below 0",
            'set loss = "own" in the plan, on both sides',
        )
