"""Decoded images a second of a folder that does not fit into memory, beside a plain torch DataLoader on the same folder.

Both decode with Pillow, resize to 64 x 64 with the same filter and normalise, in batches of 64, with as many workers; the
plain one is what people write: torchvision's ImageFolder with transforms, in a DataLoader whose workers persist. Workers are
begun before the clock starts; the order is new in each epoch. Listing 100,000 names is measured too, anew and from what was
kept, with the system's cache warm; bytes a picture are those of the listing itself.
"""

import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from alx.plan import Images
from alx.tasks.data import folder, samples
from alx.tasks.data.streamed import Loading
from alx.tasks.torchvision_cpu import torchvision
from tests.bench.row import Row, rates

COUNT, BATCH, NAMES = 192, 64, 100_000
MEAN, STD = [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]
IMAGES = Images(size=(64, 64), channels=3, classes=["a", "b"], mean=MEAN, std=STD)


def _photographs(root):
    """JPEGs of 320 x 240: smooth noise, about as many bytes as a photograph."""
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        place = root / IMAGES.classes[i % 2] / f"{i}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((320, 240), Image.Resampling.BICUBIC).save(place, quality=90)


def _ours(root, workers):
    data = folder.read(root, IMAGES, Loading(workers, in_memory=False))
    data.samples_at(torch.arange(BATCH))

    def measure():
        batches = torch.split(torch.randperm(COUNT), BATCH)
        begun = time.perf_counter()
        samples.ahead(data, batches)
        shapes = [data.samples_at(batch)[0].shape for batch in batches]
        assert sum(shape[0] for shape in shapes) == COUNT
        return COUNT / (time.perf_counter() - begun)

    return measure


def _plain(root, workers):
    v2 = torchvision().transforms.v2
    steps = [
        v2.Resize([64, 64], antialias=True),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ]
    data = torchvision().datasets.ImageFolder(root, v2.Compose(steps))
    loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

    def measure():
        begun = time.perf_counter()
        assert sum(len(x) for x, _ in loader) == COUNT
        return COUNT / (time.perf_counter() - begun)

    return measure


def _listed(root, kept):
    begun = time.perf_counter()
    assert len(folder.listed(root, IMAGES, kept)) == NAMES
    return time.perf_counter() - begun


def rows():
    """The section."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "photographs"
        _photographs(root)
        for workers in (0, 2):
            measured = {"ours": _ours(root, workers), "plain DataLoader, as many workers": _plain(root, workers)}
            found += rates(f"decoding photographs, {workers} workers", "images/s", measured, limit=1.0, repeats=3)
        many, kept = Path(name) / "many", Path(name) / "kept"
        (many / "a").mkdir(parents=True)
        for i in range(NAMES):
            (many / "a" / f"{i:07}.png").touch()
        for path in (many / "a", many):
            os.utime(path, (1e9, 1e9))  # settled long ago: a listing of what changed just now is not kept
        _listed(many, kept)
        plain = torchvision().datasets.ImageFolder

        def by_torchvision():
            begun = time.perf_counter()
            assert len(plain(many, allow_empty=True)) == NAMES
            return time.perf_counter() - begun

        kinds = {
            "ours, kept": partial(_listed, many, kept),
            "listed anew": partial(_listed, many, None),
            "ImageFolder": by_torchvision,
        }
        found += rates("listing 100,000 pictures", "s", kinds, repeats=2)
        takes = folder.listed(many, IMAGES).nbytes / NAMES
        theirs = plain(many, allow_empty=True).samples
        each = sys.getsizeof(theirs[5]) + sys.getsizeof(theirs[5][0]) + 8
        found.append(Row("a listing in memory", "bytes a picture", takes, "ImageFolder", each, takes / each))
    return found
