"""Training steps a second: a turn's run, its snapshots and checkpoints written, beside a plain PyTorch loop.

Both train the same model on the same data with the same optimiser and batch size; the plain loop holds the pixels as the
floats that the model takes, ours as the bytes that a site keeps. The pixels are random: a step takes as long whatever
they show.
"""

import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from alx.learning import state, trajectory
from alx.site.work import Work
from alx.tasks import distillation, supervised
from alx.tasks.data.images import NormalisedImages
from alx.tasks.guard import guarded
from alx.tasks.models import resnet, small_cnn
from alx.tasks.objective import losses, optimisers
from alx.training import Distillation
from alx.turns import checkpoints
from alx.turns.bridge import layout_of
from tests.bench.row import Row, rates

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LR = 0.001


def _resnet():
    return resnet(widths=(32, 64, 128), blocks=1)


HELD = distillation.term("cross_entropy", Distillation(weight=1.0))
LIMIT = 1.10  # of the time of a step without distillation, where samples are not augmented
LEAST = 0.97  # of a plain loop's steps, of a model whose steps are so short that what else is done shows
TURNS = 8  # pairs, half of them in each order


def _ours(model, data, batch_size, steps, period, held=None):
    task = guarded(  # as a site's own is
        supervised(
            model,
            data,
            losses("cross_entropy"),
            optimisers("adam", {"lr": LR}),
            batch_size=batch_size,
            device=DEVICE,
            distillation=held,
        ),
        seed=1,
    )
    start = state.fresh(task)
    layout = layout_of(start)

    def measure():
        with tempfile.TemporaryDirectory() as folder:
            work = Work(Path(folder) / "work", {})
            run = trajectory.Run(task, start, 1)
            begun = time.perf_counter()
            checkpoints.sample(run, work, layout, steps, period, lambda _step, _loss: None)
            return steps / (time.perf_counter() - begun)

    return measure


def _plain(model, images, labels, batch_size, steps):
    """What a good engineer writes by hand: everything in memory, on the device, as the model takes it."""
    x, y = images.to(DEVICE), labels.to(DEVICE)

    def measure():
        net = model().to(DEVICE).train()
        optimiser = torch.optim.Adam(net.parameters(), lr=LR)
        criterion = nn.CrossEntropyLoss()
        shown, order = 0.0, torch.empty(0)
        at = len(x)
        begun = time.perf_counter()
        for _ in range(steps):
            if at >= len(x):
                order, at = torch.randperm(len(x)).to(DEVICE), 0
            chosen = order[at : at + batch_size]
            at += batch_size
            optimiser.zero_grad()
            loss = criterion(net(x[chosen]), y[chosen])
            loss.backward()
            optimiser.step()
            shown = loss.item()
        assert shown > 0
        return steps / (time.perf_counter() - begun)

    return measure


def _beside(what, model, shape, *, batch_size, steps, period, limit=None):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, shape[:1], generator=generator)
    data = NormalisedImages(pixels, labels, [], [])
    floats = pixels.to(torch.float32).div_(255)
    return rates(
        f"{what}, batch {batch_size}, a snapshot every {period} steps",
        "training steps/s",
        {
            "alx": _ours(model, data, batch_size, steps, period),
            "plain loop, no snapshots": _plain(model, floats, labels, batch_size, steps),
        },
        limit=limit,
        repeats=TURNS,
        spread=True,
    )


def _held(what, model, shape, *, steps):
    """A turn with distillation beside the same turn without: what it costs, the start's answers included."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    data = NormalisedImages(pixels, torch.randint(10, shape[:1], generator=generator), [], [])

    def cost(held):
        measure = _ours(model, data, 64, steps, steps, held)
        return lambda: 1e3 / measure()

    return rates(
        f"{what}, batch 64, a turn of {steps} steps with distillation",
        "ms a step",
        {"alx": cost(HELD), "the same without": cost(None)},
        limit=LIMIT,
    )


def rows() -> list[Row]:
    """The demo's model, whose steps are so short that anything besides them shows, and a residual network."""
    torch.manual_seed(0)
    digits, colour = (1437, 1, 8, 8), (2048, 3, 32, 32)
    return [
        *_held("small_cnn, 8 x 8", small_cnn, digits, steps=400),
        *_held("residual network, 32 x 32 x 3", _resnet, colour, steps=64),
        *_beside("small_cnn, 8 x 8", small_cnn, digits, batch_size=64, steps=2000, period=10, limit=LEAST),
        *_beside("small_cnn, 8 x 8", small_cnn, digits, batch_size=64, steps=2000, period=50, limit=LEAST),
        *_beside("residual network, 32 x 32 x 3", _resnet, colour, batch_size=64, steps=20, period=5),
    ]
