"""Training and measuring with 1 and 2 ranks, beside DistributedDataParallel by hand, of the same model on the same samples.

A rank is a process with one thread, and there are two cores. Ours is led as a command is: rank 0 says each step. By hand
each rank takes its part of the batch, weighs its loss by it, and DistributedDataParallel sums the gradients.
"""

import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from alx.learning import measure, state, trajectory
from alx.tasks import supervised
from alx.tasks.data.samples import Tensors
from alx.tasks.models import alexnet, small_cnn
from alx.tasks.objective import losses, optimisers
from tests.bench.row import Row, rates
from tests.several import led, together

WORLDS = (1, 2)
LR = 0.001
LIMIT = 0.95  # of what is done by hand
AT_ONCE = 512  # samples that are measured at once by hand


def _ours(task, do, world):
    return lambda: do(task) if world == 1 else led(world, task, do)


def _training(task, steps):
    trajectory.seed_all(0)
    run = trajectory.Run(task, state.fresh(task), 1)
    run.trainer.step()
    begun = time.perf_counter()
    for _ in range(steps):
        run.trainer.step()
    return steps / (time.perf_counter() - begun)


def _measuring(task, models):
    net, held = task.new_model(), state.fresh(task)
    measure.measure(task, net, held)
    begun = time.perf_counter()
    for _ in range(models):
        found = measure.measure(task, net, held)
    return models * found.count / (time.perf_counter() - begun)


def _training_by_hand(model, data, batch_size, steps):
    def rank(group):
        torch.manual_seed(0)
        net = DistributedDataParallel(model())
        optimiser = torch.optim.Adam(net.parameters(), lr=LR)
        criterion = nn.CrossEntropyLoss()
        order, at = torch.empty(0), len(data)

        def step():
            nonlocal order, at
            if at >= len(data):
                order, at = torch.randperm(len(data), generator=torch.Generator().manual_seed(1)), 0
            batch = order[at : at + batch_size]
            at += batch_size
            mine = batch.tensor_split(group.world)[group.rank]
            optimiser.zero_grad()
            loss = criterion(net(data.tensors[0][mine]), data.targets[mine]) * (len(mine) * group.world / len(batch))
            loss.backward()
            optimiser.step()
            return loss.item()

        step()
        begun = time.perf_counter()
        for _ in range(steps):
            step()
        return steps / (time.perf_counter() - begun)

    return lambda world: together(world, rank)[0]


def _measuring_by_hand(model, data, models):
    def rank(group):
        net, criterion = model().eval(), nn.CrossEntropyLoss(reduction="none")
        mine = torch.arange(len(data)).tensor_split(group.world)[group.rank]

        @torch.no_grad()
        def once():
            total = torch.zeros((), dtype=torch.float64)
            for part in mine.split(AT_ONCE):
                total += criterion(net(data.tensors[0][part]), data.targets[part]).double().sum()
            dist.all_reduce(total)
            return total.item()

        once()
        begun = time.perf_counter()
        for _ in range(models):
            once()
        return models * len(data) / (time.perf_counter() - begun)

    return lambda world: together(world, rank)[0]


def _beside(name, model, shape, *, batch_size, steps, models):
    drawn = torch.Generator().manual_seed(0)
    data = Tensors(torch.randn(shape, generator=drawn), torch.randint(10, shape[:1], generator=drawn))
    task = supervised(model, data, losses("cross_entropy"), optimisers("adam", {"lr": LR}), batch_size=batch_size)
    pairs = {
        (f"training {name}, batch {batch_size}", "training steps/s"): (
            lambda done: _training(done, steps),
            _training_by_hand(model, data, batch_size, steps),
        ),
        (f"measuring {name}, {len(data):,} samples", "samples/s"): (
            lambda done: _measuring(done, models),
            _measuring_by_hand(model, data, models),
        ),
    }
    found: list[Row] = []
    for (what, unit), (do, by_hand) in pairs.items():
        for world in WORLDS:
            told = f"{what}, {world} rank{'s' if world > 1 else ''}"
            sides = {"alx": _ours(task, do, world), "DDP by hand": lambda by_hand=by_hand, world=world: by_hand(world)}
            found += rates(told, unit, sides, limit=LIMIT)
    return found


def rows() -> list[Row]:
    """A model whose steps are so short that what ranks say to each other shows, and one that computes."""
    return [
        *_beside("small_cnn, 8 x 8", small_cnn, (4096, 1, 8, 8), batch_size=64, steps=200, models=4),
        *_beside(
            "alexnet, 32 x 32 x 3", lambda: alexnet(3, 10, 16, 256), (1024, 3, 32, 32), batch_size=128, steps=6, models=1
        ),
    ]
