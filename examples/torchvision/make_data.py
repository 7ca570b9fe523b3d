"""Deal MNIST out to data/learner and data/provider, in its own format: python make_data.py FOLDER."""

import struct
import sys
from pathlib import Path

import numpy as np

HALF = 5  # digits below it are the learner's
MINOR = 0.05  # share of the other side's digits that a side holds too


def read(path):
    content = path.read_bytes()
    dimensions = content[3]
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


raw = Path(sys.argv[1], "MNIST", "raw")
labels = read(raw / "train-labels-idx1-ubyte")
rng = np.random.default_rng(0)
for name, own in (("learner", labels < HALF), ("provider", labels >= HALF)):
    mine = own | (rng.random(len(labels)) < MINOR)
    folder = Path("data", name, "MNIST", "raw")
    for file in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        write(folder / file, read(raw / file)[mine])
    for file in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        write(folder / file, read(raw / file))
