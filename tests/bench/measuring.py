"""Own losses at many snapshots: as a turn measures them, beside the loops that a good engineer writes by hand.

The plain loop loads each snapshot into one model and goes over the data in batches of 512, without gradients, with
everything in memory as the model takes it; for a data set that gives one sample at a time it is a DataLoader. The
pixels are random: a forward pass takes as long whatever they show.
"""

import io
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from alx.learning import measure, state
from alx.tasks import supervised
from alx.tasks.data.images import NormalisedImages
from alx.tasks.models import mlp, resnet, small_cnn
from alx.tasks.objective import losses, optimisers
from tests.bench.row import Row, rates

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BATCH = 512
LABELS = 10


class Photographs(Dataset):
    """Compressed images, decoded when they are asked for, as in a folder of them."""

    def __init__(self, pixels, labels):
        self.labels = labels
        self.files = []
        for each in pixels.permute(0, 2, 3, 1).numpy():
            file = io.BytesIO()
            Image.fromarray(each).save(file, "JPEG")
            self.files.append(file)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        image = np.asarray(Image.open(self.files[i]), np.float32)
        return torch.from_numpy(image).permute(2, 0, 1) / 255, self.labels[i]


def _states(model, count):
    out = []
    for seed in range(count):
        torch.manual_seed(seed)
        out.append(state.copied(model().state_dict()))
    return out


def _ours(model, data, states) -> Callable[[], float]:
    task = supervised(model, data, losses("cross_entropy"), optimisers("adam", {"lr": 1e-3}), device=DEVICE)
    together = measure.together(task, sum(t.nbytes for t in states[0].values()))
    models = [task.new_model() for _ in range(min(together, len(states)))]

    def run():
        begun = time.perf_counter()
        for at in range(0, len(states), together):
            found = measure.measure_all(task, models, states[at : at + together])
            assert all(each.total > 0 for each in found)
        return len(states) * len(data) / (time.perf_counter() - begun)

    return run


def _plain(model, batches, states, count) -> Callable[[], float]:
    criterion = nn.CrossEntropyLoss(reduction="sum")
    net = model().to(DEVICE)

    def run():
        begun = time.perf_counter()
        for each in states:
            net.load_state_dict(each)
            net.eval()
            total = 0.0
            with torch.no_grad():
                for inputs, targets in batches():
                    total += criterion(net(inputs.to(DEVICE)), targets.to(DEVICE)).item()
            assert total > 0
        return len(states) * count / (time.perf_counter() - begun)

    return run


def _in_memory(x, y):
    def batches():
        for at in range(0, len(x), BATCH):
            yield x[at : at + BATCH], y[at : at + BATCH]

    return batches


def rows() -> list[Row]:
    """Tiny models by the dozen, a residual network, a table, and images that are decoded one by one."""
    generator = torch.Generator().manual_seed(0)

    def images(shape):
        return torch.randint(256, shape, dtype=torch.uint8, generator=generator)

    def labels(count):
        return torch.randint(LABELS, (count,), generator=generator)

    out = []
    for what, model, shape, snapshots in (
        ("small_cnn, 8 x 8, 40 snapshots", small_cnn, (1437, 1, 8, 8), 40),
        ("residual network, 32 x 32 x 3, 6 snapshots", lambda: resnet(widths=(32, 64, 128), blocks=1), (1024, 3, 32, 32), 6),
    ):
        pixels, classes, states = images(shape), labels(shape[0]), _states(model, snapshots)
        floats = (pixels / 255).to(DEVICE)
        out += rates(
            what,
            "samples x snapshots/s",
            {
                "alx": _ours(model, NormalisedImages(pixels, classes, [], []), states),
                "plain loop": _plain(model, _in_memory(floats, classes.to(DEVICE)), states, len(pixels)),
            },
        )
    x, classes = torch.randn(20_000, 30, generator=generator), labels(20_000)
    table, states = torch.utils.data.TensorDataset(x, classes), _states(lambda: mlp(30, LABELS, 64), 20)
    out += rates(
        "mlp, 30 columns, 20 snapshots",
        "samples x snapshots/s",
        {
            "alx": _ours(lambda: mlp(30, LABELS, 64), table, states),
            "plain loop": _plain(lambda: mlp(30, LABELS, 64), _in_memory(x, classes), states, len(x)),
        },
    )

    def cnn():
        return small_cnn(channels=3, size=32, classes=LABELS)

    photographs, states = Photographs(images((300, 3, 32, 32)), labels(300)), _states(cnn, 12)
    return out + rates(
        "small_cnn, JPEG images decoded one by one, 12 snapshots",
        "samples x snapshots/s",
        {
            "alx": _ours(cnn, photographs, states),
            "DataLoader": _plain(cnn, lambda: DataLoader(photographs, batch_size=BATCH), states, len(photographs)),
        },
    )
