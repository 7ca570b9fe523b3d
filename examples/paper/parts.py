"""Small, balanced parts of CIFAR-10 and MNIST for `make paper-small`.

    python parts.py FOLDER --out runs/data

FOLDER holds cifar10.npz (MedMNIST's array names) or what torchvision downloads, and MNIST's four idx files, packed or not,
wherever they lie. Writes cifar10-small.npz and mnist-small.npz: 400 training images of each class and 200 for the test,
the first ones of a permutation with seed 0.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

from alx import plan
from alx.site.site_file import Data
from alx.study import pool

TRAIN, TEST = 400, 200  # of each class
ANY = plan.parse(b'name="any"\nrounds=1\nround_steps=1\nsampling_period=1\n[optimiser]\nname="adam"\n').plan


def cifar10(folder: Path) -> dict[str, np.ndarray]:
    packed = folder / "cifar10.npz"
    if not packed.is_file() and not (folder / "cifar-10-batches-py").is_dir():
        raise SystemExit(f"there is neither cifar10.npz nor torchvision's cifar-10-batches-py in '{folder}'")
    kind, path = ("npz", packed) if packed.is_file() else ("cifar10", folder)
    whole = pool.read(Data(kind=kind, path=str(path)), ANY)
    if whole.held_out is None:
        raise SystemExit(f"'{path}' has no test_images")
    return {
        "train_images": whole.images,
        "train_labels": whole.labels,
        "test_images": whole.held_out[0],
        "test_labels": whole.held_out[1],
    }


def mnist(folder: Path) -> dict[str, np.ndarray]:
    found = {}
    for part, file in (("train", "train"), ("test", "t10k")):
        for what, name, head in (("images", "images-idx3-ubyte", 16), ("labels", "labels-idx1-ubyte", 8)):
            paths = sorted(folder.rglob(f"{file}-{name}*"))
            if not paths:
                raise SystemExit(f"there is no {file}-{name} in '{folder}'")
            data = paths[0].read_bytes()
            data = gzip.decompress(data) if paths[0].suffix == ".gz" else data
            array = np.frombuffer(data, np.uint8, offset=head)
            found[f"{part}_{what}"] = array.reshape(-1, 28, 28) if what == "images" else array.astype(np.int64)
    return found


def part(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rng, out = np.random.default_rng(0), {}
    for name, count in (("train", TRAIN), ("test", TEST)):
        labels = arrays[f"{name}_labels"]
        order = rng.permutation(len(labels))
        chosen = np.sort(np.concatenate([order[labels[order] == c][:count] for c in range(10)]))
        out |= {f"{name}_{what}": arrays[f"{name}_{what}"][chosen] for what in ("images", "labels")}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name, read in (("cifar10", cifar10), ("mnist", mnist)):
        path = given.out / f"{name}-small.npz"
        if not path.exists():
            np.savez(path, **part(read(given.folder)))
        with np.load(path) as arrays:
            print(f"{path}: {len(arrays['train_labels']):,} training images, {len(arrays['test_labels']):,} for the test")


if __name__ == "__main__":
    main()
