"""A task that several ranks do together: rank 0 has it as any other, and each thing that it does, the others do too.

Knows a task, and `alx.tasks.ranks`; knows no site. The others hold copies of rank 0's models and of its trainer. They are
told what to make their task of, and answer what theirs is, so that ranks that differ are refused before anything starts.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from alx import __version__
from alx.errors import AlxError, ConfigError, RanksError, escape
from alx.learning import state as states
from alx.learning.measure import sums
from alx.learning.task import LossSum, SampleLosses, State, Task
from alx.learning.trajectory import seed_all
from alx.plan import Plan, parse, written
from alx.tasks import leader, meeting, ranks, sharded, sharding
from alx.tasks.copies import Copies
from alx.tasks.evaluation import LEAST, MOST
from alx.tasks.orders import Do, tensors, unpacked
from alx.tasks.ranks import Ranks

if TYPE_CHECKING:
    from pydantic import BaseModel

PARTS = 4  # of a rank's samples at least, where they are measured in batches of a power of two

Make = Callable[[Path, str, Plan], Task]
"""(the site's folder, its site.toml as JSON, the plan) -> the task."""


def fingerprint(task: Task, own: Path | None) -> dict[str, str]:
    """What has to be the same on each rank, by what it is called.

    Args:
        task: as this rank made it.
        own: the file that it is in, where it is no built-in one.
    """
    with torch.random.fork_rng(devices=[]):
        model = task.new_model()
    whole = states.whole(task, model)
    # of a model in shards no rank but 0 has values
    held = json.dumps(states.describe(whole) if sharding.is_cut(model) else sorted(states.digests(whole).items()))
    return {
        "version of alx": __version__,
        "version of torch": torch.__version__.split("+")[0],
        "task": "" if own is None else hashlib.sha256(own.read_bytes()).hexdigest(),
        "model": hashlib.sha256(held.encode()).hexdigest(),
        "number of samples": "" if task.sample_losses is None else str(task.sample_losses.count),
        "data": "" if task.data is None else task.data(),
    }


def refuse_other(mine: dict[str, str], theirs: dict[str, str], rank: int) -> None:
    """A rank has the same task.

    Raises:
        RanksError: it has not.
    """
    name = next((name for name in mine if theirs.get(name) != mine[name]), None)
    if name is not None:
        got, expected = (escape(str(each.get(name))[:16]) or "none" for each in (theirs, mine))
        raise RanksError(
            f"rank {rank} has another {name} than rank 0: {got}, expected {expected}",
            "each rank reads the same code and data, by the same paths",
        )


# Rank 0

_expected: list[tuple[ranks.Place, Any]] = []


@contextlib.contextmanager
def led(place: ranks.Place, store: Any) -> Iterator[None]:
    """Rank 0: what is loaded in the body is done by all ranks; afterwards the others are let go."""
    _expected[:] = [(place, store)]
    try:
        yield
    finally:
        _expected.clear()
        group = ranks.here()
        if group is None:
            meeting.begin(store, group=False)
        else:
            _let_go(group)


def _let_go(group: Ranks) -> None:
    with contextlib.suppress(AlxError):  # then they are gone already
        if not group.amiss:
            with group.command(Do.OVER):
                pass
    group.leave()


def shared() -> bool:
    """Whether this process is rank 0 of several."""
    return bool(_expected)


def _joined() -> Ranks | None:
    """The group, which is made when it is first needed: a command may end before that."""
    if _expected and ranks.here() is None:
        place, store = _expected[0]
        meeting.begin(store, group=True)
        ranks.join(place, store).remind(Do.STILL_HERE)
    return ranks.here() if _expected else None


def asked(folder: Path, config: Any, plan: Plan) -> Callable[..., Task]:
    """Ask the other ranks, if there are any, for the task too; while they make it, so does this one.

    Args:
        folder: of the site.
        config: its site.toml.
        plan: the agreement.

    Returns:
        (task) -> the same, done by all; (task, the same in shards) -> the first, done by all in shards.

    Raises:
        ConfigError: all of them would be on one GPU, or there are fewer than ranks.
    """
    group = _joined()
    if group is None:
        return lambda task, _parts=None: task
    if config.device.startswith("cuda:"):
        raise ConfigError(
            f"device = '{escape(config.device)}' in site.toml names the GPU, and {group.world} ranks are this site",
            'device = "auto" gives each of them its own',
        )
    said = {
        "folder": str(folder.absolute()),
        "site": cast("BaseModel", config).model_dump_json(),
        "plan": written(plan).decode(),
    }
    group.questions += 1
    with group.command(Do.LOAD, group.questions, json.dumps(said).encode()):
        pass
    own = None if config.task == "built-in" else folder / config.task
    return lambda task, parts=None: _led(group, task, own, parts)


def _led(group: Ranks, task: Task, own: Path | None, parts: Task | None) -> Task:
    """The task, done by all ranks.

    Raises:
        RanksError: theirs is another.
    """
    mine = fingerprint(parts or task, own)
    for rank, answer in enumerate(group.answers(group.questions), 1):
        refuse_other(mine, json.loads(answer), rank)
    if task.data is not None:  # a digest of all samples is not worked out twice
        task = dataclasses.replace(task, data=lambda: mine["data"])
    if parts is not None:
        return sharded.led(group, task, parts)
    if task.sample_losses is None:
        return dataclasses.replace(task, trainer=lambda model, seed: leader.trainer(group, task, model, seed))

    def send(slot: int, model: nn.Module) -> None:
        with group.command(Do.MODEL, slot):
            group.share(tensors(model))

    copies = Copies(send)

    def of(models: Sequence[nn.Module], rows: Tensor) -> Tensor:
        slots = [copies.slot(model) for model in models]
        numbers = torch.tensor([*slots, *rows.tolist()])
        with group.command(Do.LOSSES, len(slots), numbers.numpy().tobytes()):
            return _losses(group, task, models, rows)

    def load(model: nn.Module, held: State) -> None:
        copies.changed(model)
        task.load(model, held)

    count = task.sample_losses.count
    return dataclasses.replace(
        task,
        trainer=lambda model, seed: leader.trainer(group, task, model, seed),
        measure=lambda model: LossSum(sums(lambda rows: of([model], rows), count)[0], count),
        sample_losses=SampleLosses(count, of),
        load=load,
    )


# The others


class _Follower:
    """A rank that is not 0."""

    def __init__(self, group: Ranks, make: Make) -> None:
        self._group, self._make = group, make
        self._models: dict[int, nn.Module] = {}
        self._task: Any = None
        self.parts: Any = None
        self._trainer: Any = None
        self._model: Any = None

    def do(self, what: int, number: int, data: bytes) -> None:
        """What rank 0 said."""
        group, task = self._group, self._task
        match what:
            case Do.LOAD:
                self._load(number, json.loads(data))
            case Do.MODEL:
                if number not in self._models:
                    self._models[number] = task.new_model()
                group.share(tensors(self._models[number]))
                self._models[number].eval()
            case Do.LOSSES:
                numbers = torch.frombuffer(bytearray(data), dtype=torch.int64)
                nets = [self._models[slot] for slot in numbers[:number].tolist()]
                with torch.no_grad():
                    _losses(group, task, nets, numbers[number:])
            case Do.TRAINER:
                self._model = task.new_model()
                group.share(tensors(self._model))
                self._model.train()
                seed_all(number)
                self._trainer = task.trainer(self._model, number)
            case Do.PACE:
                leader.pace(self._trainer, number)
            case Do.STEP:
                seed_all(number + group.rank)
                self._trainer.step()
            case Do.RESTORE:
                group.share(tensors(self._model))
                self._trainer.load_state_dict(unpacked(data))
            case Do.TAKE_UP:
                self._trainer.take_up(unpacked(data))

    def _load(self, number: int, said: dict[str, str]) -> None:
        folder, site = Path(said["folder"]), said["site"]
        self._task = self._make(folder, site, parse(said["plan"].encode()).plan)
        self._models, self._trainer, self._model = {}, None, None
        self.parts = sharded.Parts(self._group, self._task)
        name = json.loads(site)["task"]
        found = fingerprint(self._task, None if name == "built-in" else folder / name)
        self._group.answer(number, json.dumps(found))


def follow(group: Ranks, make: Make) -> None:
    """Do what rank 0 does, until it is over.

    Args:
        group: of a rank that is not 0.
        make: makes the task as rank 0 did.

    Raises:
        AlxError: as the task, or RanksError: rank 0 is gone.
    """
    follower = _Follower(group, make)
    while True:
        what, number, data = group.hear()
        if what == Do.OVER:
            return
        (follower.parts if what >= min(sharded.Do) else follower).do(what, number, data)


# All


def _losses(group: Ranks, task: Task, models: Sequence[nn.Module], rows: Tensor) -> Tensor:
    """The losses of some samples, [models, n]: each rank's of its own, together."""
    mine = own_rows(len(rows), group.rank, group.world)
    out = torch.zeros(len(models), len(rows), dtype=torch.float64)
    if mine.stop > mine.start:
        out[:, mine] = cast("SampleLosses", task.sample_losses).of(models, rows[mine])
    return group.sum(out)


def own_rows(count: int, rank: int, world: int) -> slice:
    """Which of so many samples a rank measures: no sample twice, none left out.

    By blocks of a power of two, as the batches of one process are: of many samples they are the same, and so are losses.
    """
    wanted = max(1, count // (world * PARTS))
    size = min(MOST, max(LEAST, 1 << (wanted.bit_length() - 1)))
    blocks = -(-count // size)
    each, over = divmod(blocks, world)
    start = rank * each + min(rank, over)
    return slice(min(count, start * size), min(count, (start + each + (rank < over)) * size))
