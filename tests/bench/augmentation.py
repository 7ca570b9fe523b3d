"""What augmentation adds to a training step: `python -m tests.bench.augmentation`.

The built-in task's step, one thread, batches of 64: the demo's model with images of the demo's size, and the same model with
images of CIFAR-10's. Steps with and without take turns; told are medians of the process's own time, so that what else the
machine does falls on both. Pixels are random: nothing takes longer or less for what they show.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from alx.learning import state, trajectory
from alx.tasks import supervised
from alx.tasks.data.images import NormalisedImages
from alx.tasks.models import small_cnn
from alx.tasks.objective import losses, optimisers
from alx.training import Training
from alx.transforms import Transform

STEPS = 30
FLIP, SHIFT = Transform(name="RandomHorizontalFlip"), Transform(name="RandomCrop", padding=2)
LISTS = [
    [FLIP],
    [SHIFT],
    [FLIP, SHIFT],
    [Transform(name="RandomErasing")],
    [Transform(name="RandomResizedCrop")],
    [Transform(name="RandomRotation", degrees=10)],
    [Transform(name="RandomAffine", degrees=10, translate=[0.1, 0.1])],
    [Transform(name="GaussianBlur", kernel_size=3)],
    [Transform(name="ColorJitter", brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)],
    [Transform(name="TrivialAugmentWide")],
    [Transform(name="RandAugment")],
]


def _run(model: Callable[[], nn.Module], shape: tuple[int, ...], augment: list[Transform]) -> trajectory.Run:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    data = NormalisedImages(pixels, torch.randint(10, shape[:1], generator=generator), [], [])
    made = supervised(
        model, data, losses("cross_entropy"), optimisers("adam", {"lr": 0.001}), training=Training(augment=augment)
    )
    return trajectory.Run(made, state.fresh(made), 1)


def main() -> None:
    torch.set_num_threads(1)
    for name, model, shape in (
        ("small_cnn, 8 x 8", small_cnn, (1437, 1, 8, 8)),
        ("small_cnn, 32 x 32 x 3", lambda: small_cnn(3, 32), (2048, 3, 32, 32)),
    ):
        for augment in LISTS:
            runs = [_run(model, shape, each) for each in ([], augment)]
            took: list[list[float]] = [[], []]
            for _ in range(STEPS):
                for run, times in zip(runs, took, strict=True):
                    begun = time.process_time()
                    run.trainer.step()
                    times.append(1e3 * (time.process_time() - begun))
            plain, changed = (statistics.median(times[2:]) for times in took)
            words = " and ".join(each.name for each in augment)
            sys.stdout.write(f"{name:24} {words:36} {plain:8.2f} ms + {changed - plain:7.2f} ms  x {changed / plain:.2f}\n")


if __name__ == "__main__":
    main()
