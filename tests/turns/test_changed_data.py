"""Losses of before are compared with losses of now, so the data are those of pairing, or a turn is refused."""

import numpy as np
import pytest

from alx.cli.main import run
from alx.errors import ConfigError
from tests.forge import command, refused


def swapped(path):
    """As many samples, and two labels exchanged."""
    arrays = dict(np.load(path))
    labels = arrays["train_labels"]
    other = int(np.argmax(labels != labels[0]))
    labels[[0, other]] = labels[[other, 0]]
    np.savez(path, **arrays)


@pytest.mark.parametrize("step", ["import", "train"])
def test_other_values_in_as_many_samples_are_refused_and_change_nothing(stage, capsys, step):
    world = stage("answered" if step == "import" else "paired")
    (data,) = [p for p in world.root.rglob("*.npz") if "learner" in p.name]
    kept = data.read_bytes()
    words = ["train-local", "--site", str(world.folder("learner"))]
    if step == "import":
        words = command(world, "learner", world.bundle("provider", 1))
    swapped(data)
    before = world.fingerprint("learner")
    told = "the data changed since pairing: as many samples as then, and other values or labels, or another order"
    refused(capsys, words, ConfigError, told, hint="put them back")
    assert world.fingerprint("learner") == before
    data.write_bytes(kept)
    assert run(words) == 0


def test_what_was_remembered_of_the_data_stays_at_home(stage):
    world = stage("answered")
    remembered = (world.folder("learner") / "data.sha256").read_text().strip()
    assert len(remembered) == 64
    for file in (p for p in world.disk.rglob("*") if p.is_file()):
        assert remembered.encode() not in file.read_bytes()
