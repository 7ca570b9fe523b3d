"""The paper's round on a GPU: ResNet-18, 2,000 steps of 256, beside a loop by hand of the same net that keeps nothing.

Both lay images out pixel by pixel, compute in bfloat16 by torch's autocast and compile the model; both have the pixels as
bytes on the GPU. Ours writes its snapshots and checkpoints. The pixels are random: a step takes as long whatever they show.
Where torch finds no GPU nothing is measured, and the table says so.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from alx.learning import state, trajectory
from alx.site.work import Work
from alx.tasks import supervised
from alx.tasks.data.images import NormalisedImages
from alx.tasks.guard import guarded
from alx.tasks.models import resnet
from alx.tasks.objective import losses, optimisers
from alx.training import Training
from alx.turns import checkpoints
from alx.turns.bridge import layout_of
from tests.bench.row import Missing, Row, rates

STEPS, PERIOD, BATCH, SAMPLES, LR = 2000, 50, 256, 25_000, 0.01  # as in examples/paper/deep/fig4.toml
FAST = Training(channels_last=True, precision="bfloat16", compile=True)
LIMIT = 1.3  # of the time of the loop by hand
WHAT = f"a round of ResNet-18, {STEPS:,} steps of {BATCH}"


def ours(
    model: Callable[[], nn.Module], data: NormalisedImages, device: torch.device, steps: int, training: Training = FAST
) -> Callable[[], float]:
    """Seconds of a turn's training, as a site does it."""
    made = supervised(
        model,
        data,
        losses("cross_entropy"),
        optimisers("sgd", {"lr": LR, "momentum": 0.9}),
        batch_size=BATCH,
        device=device,
        training=training,
    )
    task = guarded(made, seed=1)
    start = state.fresh(task)

    def measure() -> float:
        with tempfile.TemporaryDirectory() as folder:
            run = trajectory.Run(task, start, 1, steps)
            work = Work(Path(folder) / "work", {})
            _wait(device)
            begun = time.perf_counter()
            checkpoints.sample(run, work, layout_of(start), steps, PERIOD, lambda _step, _loss: None)
            _wait(device)
            return time.perf_counter() - begun

    return measure


def by_hand(
    model: Callable[[], nn.Module], data: NormalisedImages, device: torch.device, steps: int, training: Training = FAST
) -> Callable[[], float]:
    """Seconds of the loop that a good engineer writes for this net."""
    x, y = data.images.to(device), data.targets.to(device)
    layout = torch.channels_last if training.channels_last else torch.contiguous_format

    def measure() -> float:
        net = model().to(device, memory_format=layout).train()
        asked = torch.compile(net, dynamic=False) if training.compile else net
        optimiser = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9)
        order, at = torch.randperm(len(x)).to(device), 0
        _wait(device)
        begun = time.perf_counter()
        for _ in range(steps):
            if at + BATCH > len(x):
                order, at = torch.randperm(len(x)).to(device), 0
            chosen = order[at : at + BATCH]
            at += BATCH
            inputs = (x[chosen].float() / 255).contiguous(memory_format=layout)
            optimiser.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=training.precision == "bfloat16"):
                outputs = asked(inputs)
            nn.functional.cross_entropy(outputs.float(), y[chosen]).backward()
            optimiser.step()
        _wait(device)
        return time.perf_counter() - begun

    return measure


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def pixels(samples: int) -> NormalisedImages:
    """Random images of CIFAR-10's shape, in ten classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (samples, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return NormalisedImages(images, torch.randint(10, (samples,), generator=generator), [], [])


def rows() -> list[Row | Missing]:
    """The round, where there is a GPU."""
    if not torch.cuda.is_available():
        return [Missing(WHAT, "no GPU here")]
    data, device = pixels(SAMPLES), torch.device("cuda")
    return [
        *rates(
            f"{WHAT}, snapshots included",
            "s",
            {
                "alx": ours(resnet, data, device, STEPS),
                "loop by hand, channels-last, bfloat16, compiled": by_hand(resnet, data, device, STEPS),
            },
            limit=LIMIT,
            repeats=4,
            spread=True,
        )
    ]
