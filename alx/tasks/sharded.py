"""A task that several ranks do together, where what is trained and measured lies in shards: of each a rank has a part.

Rank 0 has the task twice. Of one the models lie whole on its CPU, as with one process: they are what states are loaded into
and taken from. The other's models have no values of their own: they are cut, on all ranks, and are filled from the first's.
Knows a task, `alx.tasks.ranks` and `alx.tasks.sharding`; knows no site (docs/sharding.md).
"""

import contextlib
import dataclasses
import weakref
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from alx.errors import ConfigError
from alx.learning.measure import sums
from alx.learning.task import LossSum, SampleLosses, State, Task, Trainer
from alx.learning.trajectory import seed_all
from alx.tasks import descent, sharding
from alx.tasks.copies import Copies
from alx.tasks.ranks import Ranks

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

SEEDS = 1 << 62


class Do(IntEnum):
    """What rank 0 says, beside what `orders.Do` has."""

    PUT = 101
    LOSSES = 102
    TRAINER = 103
    PACE = 104
    STEP = 105
    GATHER = 106
    SAVE = 107
    KEEP = 108
    RESTORE = 109
    TAKE_UP = 110


def cut(task: Task, place: torch.device, world: int) -> Task:
    """The task whose models are in shards, and as yet without values.

    Args:
        task: its models can be made without values.
        place: where the shards lie.
        world: how many ranks there are.
    """
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415 - a second, and only ranks need it

    mesh = init_device_mesh(place.type, (world,))
    return dataclasses.replace(task, new_model=lambda: sharding.made(task.new_model, mesh, values=False))


class Parts:
    """What one rank has: its shards of models and of a trainer's state. Each method is called on all ranks at once.

    Args:
        group: of the ranks.
        task: see `cut`.
    """

    def __init__(self, group: Ranks, task: Task) -> None:
        self._group, self._task = group, task
        self._models: dict[int, nn.Module] = {}
        self._trainer: Any = None
        self._model = nn.Module()

    def do(self, what: int, number: int, data: bytes) -> None:
        """Another rank than 0: what that said."""
        match what:
            case Do.PUT:
                self.put(number, None)
            case Do.LOSSES:
                numbers = torch.frombuffer(bytearray(data), dtype=torch.int64)
                self.losses(numbers[:number].tolist(), numbers[number:])
            case Do.TRAINER:
                self.begin(number, None)
            case Do.PACE:
                self.pace(number)
            case Do.STEP:
                seed_all(number + self._group.rank)
                self.step()
            case Do.GATHER:
                self.gather(None)
            case Do.SAVE | Do.KEEP:
                self.saved(kept=what == Do.KEEP)
            case Do.RESTORE:
                self.restore(None, None)
            case Do.TAKE_UP:
                self.take_up(None)

    @property
    def _mesh(self) -> "DeviceMesh":
        return sharding.mesh(self._model)

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """A rank that was lost is told as such, also where the user's code met it: FSDP gathers inside of a model's calls.

        Raises:
            RanksError: a rank is gone.
        """
        try:
            with self._group.exchange():
                yield
        except ConfigError as error:
            if isinstance(error.__cause__, RuntimeError):
                with contextlib.suppress(RuntimeError), self._group.exchange():
                    raise error.__cause__ from error
            raise

    def _filled(self, model: nn.Module, whole: nn.Module | None) -> None:
        given = {} if whole is None else sharding.tensors(whole)
        sharding.fill(sharding.tensors(model), given, sharding.mesh(model))

    def put(self, number: int, whole: nn.Module | None) -> None:
        """Make the model of a number what rank 0's whole one is."""
        with self._together():
            if number not in self._models:
                self._models[number] = self._task.new_model()
            self._filled(self._models[number], whole)
            self._models[number].eval()

    def losses(self, numbers: Sequence[int], rows: Tensor) -> Tensor:
        """The losses of some samples at some models, float64 [models, n]: each rank's of its own, together.

        Each rank asks its models as often, as each gathers what the others have: some of the samples twice, for nothing.
        """
        group, each = self._group, -(-len(rows) // self._group.world)
        mine = rows[group.rank * each : (group.rank + 1) * each]
        asked = torch.cat([mine, rows[:1].expand(each - len(mine))])
        out = torch.zeros(len(numbers), len(rows), dtype=torch.float64)
        with self._together(), torch.no_grad():
            found = cast("SampleLosses", self._task.sample_losses).of([self._models[n] for n in numbers], asked)
        out[:, group.rank * each : group.rank * each + len(mine)] = found[:, : len(mine)]
        return group.sum(out)

    def begin(self, seed: int, whole: nn.Module | None) -> None:
        """Make a trainer, of a model that is what rank 0's whole one is."""
        with self._together():
            self._trainer = None  # what the one before held is free
            self._model = self._task.new_model()
            self._filled(self._model, whole)
            self._model.train()
            if whole is None:
                seed_all(seed)
            self._trainer = self._task.trainer(self._model, seed)

    def pace(self, steps: int) -> None:
        """As `Paced`."""
        self._trainer.pace(steps)

    def step(self) -> float:
        """As `Trainer`."""
        with self._together():
            return cast("float", self._trainer.step())

    def rate(self) -> float | None:
        """As `Rated`."""
        return cast("float | None", self._trainer.rate())

    def gather(self, whole: nn.Module | None) -> None:
        """Make rank 0's whole model what is trained, one tensor after another."""
        still = {name for name, value in self._model.named_parameters() if not value.requires_grad}
        held = {name: value for name, value in sharding.tensors(self._model).items() if name not in still}
        into = {} if whole is None else sharding.tensors(whole)
        with self._together(), torch.no_grad():
            for name, value in sharding.gathered(held, self._mesh):
                if whole is not None:
                    into[name].copy_(value)

    def saved(self, *, kept: bool) -> dict[str, Any]:
        """As `Trainer.state_dict` or `Keeper.kept`: on rank 0 as one process would save it."""
        held = self._trainer.kept() if kept else self._trainer.state_dict()
        with self._together():
            return cast("dict[str, Any]", sharding.gathered_tree(held, self._mesh))

    def restore(self, whole: nn.Module | None, state: dict[str, Any] | None) -> None:
        """As `Trainer.load_state_dict`, of a model that is what rank 0's whole one is."""
        with self._together():
            self._filled(self._model, whole)
            self._trainer.load_state_dict(self._spread(state))

    def take_up(self, kept: dict[str, Any] | None) -> None:
        """As `Keeper`."""
        with self._together():
            self._trainer.take_up(self._spread(kept))

    def _spread(self, state: dict[str, Any] | None) -> dict[str, Any]:
        stepped_on = descent.stepped_on(self._model, cast("Any", self._task.training))
        return cast("dict[str, Any]", sharding.spread(state, stepped_on, self._mesh))


# Rank 0


def led(group: Ranks, task: Task, parts: Task) -> Task:
    """The task, done by all ranks.

    Args:
        group: of the ranks.
        task: its models are whole.
        parts: see `cut`.
    """
    here, each = Parts(group, parts), cast("SampleLosses", task.sample_losses)
    runs = weakref.WeakKeyDictionary[nn.Module, _Led]()

    def send(slot: int, model: nn.Module) -> None:
        with group.command(Do.PUT, slot):
            here.put(slot, model)

    copies = Copies(send)

    def of(models: Sequence[nn.Module], rows: Tensor) -> Tensor:
        slots = [copies.slot(model) for model in models]
        numbers = torch.tensor([*slots, *rows.tolist()])
        with group.command(Do.LOSSES, len(slots), numbers.numpy().tobytes()):
            return here.losses(slots, rows)

    def load(model: nn.Module, held: State) -> None:
        copies.changed(model)
        task.load(model, held)

    def trainer(model: nn.Module, seed: int) -> Trainer:
        with group.command(Do.TRAINER, seed):
            here.begin(seed, model)
        made = runs[model] = _Led(group, here, model)
        return made

    def state(model: nn.Module) -> State:
        if model in runs:
            runs[model].settle()
        return task.state(model)

    return dataclasses.replace(
        task,
        trainer=trainer,
        measure=lambda model: LossSum(sums(lambda rows: of([model], rows), each.count)[0], each.count),
        sample_losses=SampleLosses(each.count, of),
        state=state,
        load=load,
    )


class _Led:
    """A trainer in shards; the whole model that it was made for is brought up to date when somebody looks at it."""

    def __init__(self, group: Ranks, here: Parts, model: nn.Module) -> None:
        self._group, self._here, self._model, self._behind = group, here, weakref.ref(model), False

    def settle(self) -> None:
        """Bring the whole model up to date."""
        if self._behind:
            with self._group.command(Do.GATHER):
                self._here.gather(self._model())
            self._behind = False

    def step(self) -> float:
        # as of ranks without shards: each has other dropout, and rank 0's own random numbers go on, and are saved
        with self._group.command(Do.STEP, int(torch.randint(SEEDS, ()))):
            self._behind = True
            return self._here.step()

    def pace(self, steps: int) -> None:
        with self._group.command(Do.PACE, steps):
            self._here.pace(steps)

    def rate(self) -> float | None:
        return self._here.rate()

    def state_dict(self) -> dict[str, Any]:
        with self._group.command(Do.SAVE):
            return self._here.saved(kept=False)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        with self._group.command(Do.RESTORE):
            self._here.restore(self._model(), state)

    def kept(self) -> dict[str, Any]:
        with self._group.command(Do.KEEP):
            return self._here.saved(kept=True)

    def take_up(self, kept: dict[str, Any]) -> None:
        with self._group.command(Do.TAKE_UP):
            self._here.take_up(kept)
