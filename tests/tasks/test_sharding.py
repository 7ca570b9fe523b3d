"""A model in shards: two ranks (gloo, CPU) beside one process."""

import copy
import ctypes
import dataclasses
import gc
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard  # noqa: F401 - a second, once for both ranks
from torch.distributed.tensor import DTensor
from torch.utils.data import TensorDataset

from alx.errors import ConfigError
from alx.learning import state, trajectory
from alx.learning.task import LossSum, Task
from alx.learning.trajectory import seed_torch
from alx.objective import Objective
from alx.tasks import distillation, sharded, sharding, supervised
from alx.tasks.descent import Descent, parameters
from alx.tasks.objective import losses
from alx.tasks.ranks import Ranks
from alx.training import Distillation, Training
from tests.limited import status
from tests.several import together

RANKS = 2
WIDE, LAYERS = 1024, 17  # of the model that is too large: as many linear layers of 4 MiB
ROOM = 60 << 20  # what a rank may take more than it has with a small model: less than the model's 68 MiB
NEAR = 1e-6  # relative, of a whole tensor


class Odd(nn.Module):
    """What models have: blocks in a list, sizes that ranks do not divide, a weight at two places, buffers of both kinds."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 7)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(7, 7), nn.GELU()) for _ in range(3))
        self.norm = nn.BatchNorm1d(7)
        self.wide = nn.Sequential(nn.Linear(7, 600), nn.Linear(600, 600), nn.Linear(600, 7))
        self.head = nn.Linear(7, 11, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("scale", torch.randn(7), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).mean(1) * self.scale
        for block in self.blocks:
            x = x + block(x)
        found: Tensor = self.head(self.wide(self.norm(x)))
        return found


def odd() -> nn.Module:
    seed_torch(7)
    return Odd()


TRAINING = Training(clip=0.05, no_decay=["bias_and_norm"])


def stepped(model: nn.Module, descent: Descent, steps: range, mine: slice) -> None:
    """Some steps on a share of each batch; batch norm as in evaluation, as its statistics are not what is compared."""
    model.train()
    model.get_submodule("norm").eval()
    for step in steps:
        drawn = torch.Generator().manual_seed(step)
        x, y = torch.randint(11, (9, 5), generator=drawn), torch.randint(11, (9,), generator=drawn)
        descent.zero_grad()
        loss = nn.functional.cross_entropy(model(x[mine]), y[mine], reduction="sum") / len(y)
        loss.backward()
        descent.step()


def descent_of(model: nn.Module) -> Descent:
    return Descent(model, lambda given: torch.optim.AdamW(given, lr=1e-3, weight_decay=0.1, eps=1e-4), TRAINING)


def test_blocks_are_the_parts_of_lists_that_are_large_and_hold_no_parameter_of_others() -> None:
    model = Odd()
    assert sharding.blocks(model) == [model.wide[1]]
    tied = nn.Sequential(nn.Linear(600, 600), nn.Linear(600, 600))
    assert sharding.blocks(tied) == [*tied]
    tied[1].weight = tied[0].weight
    assert sharding.blocks(tied) == []
    listed = nn.ModuleList([nn.Sequential(nn.Linear(600, 600), nn.Linear(600, 300))])
    assert sharding.blocks(listed) == [listed[0][0]]
    deep = nn.ModuleList([nn.Sequential(*(nn.Linear(400, 400) for _ in range(2)))])
    assert sharding.blocks(deep) == [deep[0]]


class Drawn(Mapping[str, Tensor]):
    """A state that lies nowhere: each tensor is made when it is asked for."""

    def __init__(self, model: nn.Module) -> None:
        self._shapes = {name: value.shape for name, value in model.state_dict().items()}

    def __getitem__(self, name: str) -> Tensor:
        seed = sum(name.encode())
        return torch.randn(self._shapes[name], generator=torch.Generator().manual_seed(seed)) / WIDE**0.5

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def same(found: Tensor, expected: Tensor) -> None:
    assert float((found - expected).double().norm()) <= NEAR * float(expected.double().norm())


def small(mesh: DeviceMesh) -> None:
    """Cut, trained, saved, taken up by one rank, and back again: each time as torch's own steps in one process."""
    first, half = mesh.get_local_rank() == 0, slice(5) if mesh.get_local_rank() == 0 else slice(5, 9)
    model, plain = sharding.made(odd, mesh), odd()
    assert isinstance(model.embed.weight, DTensor)
    assert model.embed.weight is model.head.weight
    assert len(model.embed.weight.to_local()) == (6 if first else 5)
    assert torch.equal(model.scale, plain.scale)  # which no state holds
    for name, value in sharding.gathered(model.state_dict(), mesh):
        assert torch.equal(value, plain.state_dict()[name]) if first else value.is_meta, name

    descent, own = descent_of(model), descent_of(plain)
    stepped(model, descent, range(8), half)
    stepped(plain, own, range(8), slice(9))
    held = dict(sharding.gathered(model.state_dict(), mesh))
    saved = sharding.gathered_tree(descent.state_dict(), mesh)
    if first:
        for name, value in plain.state_dict().items():
            same(held[name], value)
        alone = odd()  # one rank takes up what two saved
        alone.load_state_dict(held)
        going = descent_of(alone)
        going.load_state_dict(copy.deepcopy(saved))  # an optimiser goes on in what it is given
        stepped(alone, going, range(8, 12), slice(9))
    stepped(plain, own, range(8, 12), slice(9))
    if first:
        for name, value in plain.state_dict().items():
            same(alone.state_dict()[name], value)

    again = sharding.made(odd, mesh, values=False)  # and two what one saved
    sharding.fill(again.state_dict(), held if first else {}, mesh)
    again.scale.copy_(plain.scale)
    taken = descent_of(again)
    stepped_on = [p for group in parameters(again, TRAINING) for p in group["params"]]
    taken.load_state_dict(sharding.spread(saved if first else None, stepped_on, mesh))
    stepped(again, taken, range(8, 12), half)
    for name, value in sharding.gathered(again.state_dict(), mesh):
        if first:
            same(value, plain.state_dict()[name])

    for wrong, words in (
        ({**held, "more": torch.ones(1)}, "more"),
        (held | {"norm.bias": torch.ones(3)}, "expected \\[7\\]"),
    ):
        with pytest.raises(RuntimeError, match=words):
            sharding.fill(again.state_dict(), wrong if first else {}, mesh)
    for refused, words in ((lambda: nn.Linear(1, int(torch.ones(1).sum())), "without"), (Scalar, "single number")):
        with pytest.raises(ConfigError, match=words):
            sharding.made(refused, mesh, values=False)


class Scalar(nn.Module):
    """A parameter that no rank can have a part of."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(1.0))


def left_free(size: int) -> list[torch.Tensor]:
    """All pieces of that many bytes that the heap has free: what earlier tests of this process gave back would be room."""
    pieces: list[torch.Tensor] = []
    while True:
        before = status("VmSize")
        piece = torch.empty(size, dtype=torch.uint8)
        if status("VmSize") > before:
            return pieces
        pieces.append(piece)


def large(mesh: DeviceMesh) -> None:
    """Loaded, trained and taken out again where there is not as much room as the model's state takes."""
    # as MALLOC_MMAP_THRESHOLD_ does: what is freed between two blocks is given back, and not kept in pieces
    ctypes.CDLL(None).mallopt(-3, 1 << 18)

    def played(layers: int) -> int:
        def make() -> nn.Module:
            return nn.Sequential(*(nn.Linear(WIDE, WIDE) for _ in range(layers)))

        model = sharding.made(make, mesh, values=False)
        with torch.device("meta"):
            drawn = Drawn(make())
        sharding.fill(model.state_dict(), drawn if mesh.get_local_rank() == 0 else {}, mesh)
        for part in list(model)[2:]:
            part.requires_grad_(requires_grad=False)
        descent = Descent(model, lambda given: torch.optim.SGD(given, lr=0.1), Training(clip=1.0))
        model(torch.ones(2, WIDE)).square().mean().backward()
        descent.step()
        for name, value in sharding.gathered(model.state_dict(), mesh):
            if not value.is_meta and int(name.split(".")[0]) > 1:
                assert torch.equal(value, drawn[name])
        return sum(p.nbytes for p in model.state_dict().values())

    played(3)  # what torch maps once
    gc.collect()  # what earlier tests left would be given back on the way, and be room
    kept = left_free(ROOM // 16)  # noqa: F841 - held to the end
    most = status("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    whole = played(LAYERS)
    assert whole > ROOM
    most = min(most, status("VmSize") + ROOM)  # something else may have been given back meanwhile
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with pytest.raises(RuntimeError, match="memory"):
        torch.empty(whole, dtype=torch.uint8)


ALL = Training.model_validate(
    {"accumulate": 2, "clip": 0.5, "no_decay": ["bias_and_norm"], "schedule": {"name": "cosine", "warmup": 0.2}}
)
COUNT, STEPS, HALF = 53, 8, 3  # of samples; of a turn, and of a part of it


def task() -> Task:
    """What a plan may ask for, all of it: batches that two ranks do not share evenly, one of a single sample among them."""
    drawn = torch.Generator().manual_seed(0)
    x, y = torch.randint(11, (COUNT, 5), generator=drawn), torch.randint(11, (COUNT,), generator=drawn)
    return supervised(
        odd,
        TensorDataset(x, y),
        losses("cross_entropy", Objective(), []),
        lambda given: torch.optim.SGD(given, lr=0.02, momentum=0.9, weight_decay=1e-2),
        batch_size=9,
        training=ALL,
        distillation=distillation.term("cross_entropy", Distillation(weight=0.5)),
    )


def begun(task: Task) -> trajectory.Run:
    return trajectory.Run(task, state.of(task, odd()), 1, STEPS)


def gone(run: trajectory.Run, end: int) -> dict[str, Tensor]:
    while run.at < end:
        run.trainer.step()
        run.at += 1
    return run.snapshot()


@dataclasses.dataclass
class Alone:
    """A turn of one process: its half, its end, what goes on from its half, and its loss sum."""

    half: Mapping[str, Tensor]
    end: Mapping[str, Tensor]
    saved: dict[str, Any]
    total: float


def alone() -> Alone:
    plain = begun(task())
    half = gone(plain, HALF)
    saved = copy.deepcopy(plain.state_dict())
    end = gone(plain, STEPS)
    return Alone(half, end, saved, measured(task(), plain).total)


def measured(task: Task, run: trajectory.Run) -> LossSum:
    with torch.no_grad():
        return task.measure(run.model.eval())


def task_of_two(group: Ranks, one: Alone, saved: Path) -> None:
    """A turn, with distillation and batch norm over all ranks: as of one process, wherever its first half was."""
    parts = sharded.cut(task(), torch.device("cpu"), RANKS)
    if group.rank:
        mine = sharded.Parts(group, parts)
        while (said := group.hear())[0]:
            mine.do(*said)
        return
    led = sharded.led(group, task(), parts)
    run = begun(led)
    near(gone(run, HALF), one.half)
    torch.save(run.state_dict(), saved)
    near(gone(run, STEPS), one.end)
    found = measured(led, run)
    assert found.count == COUNT
    assert found.total == pytest.approx(one.total, rel=NEAR)
    handed = run.kept()
    again = begun(led)
    again.load_state_dict(one.saved)
    near(gone(again, STEPS), one.end)
    again = begun(led)
    again.take_up(handed)
    for each, expected in zip(again.kept()["state"].values(), handed["state"].values(), strict=True):
        assert torch.equal(each["momentum_buffer"], expected["momentum_buffer"])
    with group.command(0):
        pass


def near(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    flat = [torch.cat([each[name].double().reshape(-1) for name in expected]) for each in (found, expected)]
    assert float((flat[0] - flat[1]).norm()) <= NEAR * float(flat[1].norm())


def test_two_ranks_with_a_part_each_do_what_one_process_does_also_where_the_whole_has_no_room(tmp_path: Path) -> None:
    one, saved = alone(), tmp_path / "saved.pt"

    def rank(group: Ranks) -> None:
        mesh = init_device_mesh("cpu", (RANKS,))
        small(mesh)
        task_of_two(group, one, saved)
        large(mesh)  # last: it takes memory away

    together(RANKS, rank)
    again = begun(task())  # one process goes on with what two saved
    again.load_state_dict(torch.load(saved, weights_only=True))
    near(gone(again, STEPS), one.end)
