"""What the demo's bundles tell about the data: who was trained on, and which classes a site holds.

    python -m tests.bench.told [SEEDS]      a table of docs/threat-model.md was made so

Plays the demo for each seed. Membership: the sender's own samples against the held-out ones of the same class, told apart
by the loss at the last snapshot of a bundle (Shokri and others, 2017, in its plainest form: the lower loss was trained
on); the figure is the area under the ROC curve, 0.5 for a guess. Classes: by how much the mean loss of a class changes from
a turn's first snapshot to its last, on held-out samples, which anybody can have; and how often its sign alone says whether
the sender holds many of that class.
"""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from alx.bundle import carried, keys, read
from alx.site import site as sites
from alx.study.demo import digits, story
from alx.tasks import models
from alx.turns.bridge import from_flat

ROUNDS = digits.ROUNDS
LARGE = {"learner": range(5), "provider": range(5, 10)}


def losses(flat: memoryview, layout, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The loss of each sample at a snapshot."""
    net = models.small_cnn().eval()
    net.load_state_dict(from_flat(flat, layout))
    with torch.no_grad():
        outputs = net(torch.from_numpy(images).unsqueeze(1).float() / 255)
    return nn.functional.cross_entropy(outputs, torch.from_numpy(labels).long(), reduction="none").numpy()


def of_a_bundle(folder: Path, role: str, bundle: Path) -> Iterator[tuple[str, float, int]]:
    """(what, figure, samples it is about) of one bundle."""
    own, key = np.load(folder / f"{role}.npz"), keys.load_public(folder / role / "public.pem")
    with carried.survey(bundle) as source:
        signed = read.verify(source, read.claimed_key(source)[0], key)
        manifest = read.read_manifest(source, signed)
        last = len(manifest.snapshots) - 1
        first, end = (read.state(source, signed, manifest, i) for i in (0, last))
    x, y = own["train_images"], own["train_labels"]
    apart, theirs = own["test_images"], own["test_labels"]
    trained, others = losses(end, manifest.layout, x, y), losses(end, manifest.layout, apart, theirs)
    before = losses(first, manifest.layout, apart, theirs)
    for label in range(10):
        kind = "large" if label in LARGE[role] else "rare"
        here, there = trained[y == label], others[theirs == label]
        if len(here):
            truth = np.repeat([1, 0], [len(here), len(there)])
            yield f"membership, {kind}", float(roc_auc_score(truth, -np.concatenate([here, there]))), len(here)
        change = float(there.mean() - before[theirs == label].mean())
        yield f"loss of a class, {kind}", change, len(there)
        yield "told by the sign", float((change < 0) == (kind == "large")), len(there)


def main(seeds: int) -> None:
    """Print the table."""
    found: dict[str, list[tuple[float, int]]] = {}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(None):
            done = story.run(Path(place) / "demo", "digits", ROUNDS, seed, lambda _line: None)
            for role in ("learner", "provider"):
                for sealed in sites.load(done.folder / role).look().position.sealed:
                    if sealed.bundle.endswith("-closing"):  # it holds no model
                        continue
                    for what, figure, count in of_a_bundle(done.folder, role, done.folder / "disk" / sealed.bundle):
                        found.setdefault(f"{what}, the {role}", []).append((figure, count))
    for what, all_of in sorted(found.items()):
        figures, counts = np.array([f for f, _ in all_of]), np.array([n for _, n in all_of])
        mean = np.average(figures, weights=counts) if "membership" in what else figures.mean()
        low, high = np.quantile(figures, [0.05, 0.95])
        print(f"{what:<40} {mean:6.2f}   nine in ten between {low:.2f} and {high:.2f}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.told")
    arguments.add_argument("seeds", type=int, nargs="?", default=5)
    main(arguments.parse_args().seeds)
