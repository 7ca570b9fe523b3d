"""What `train-local --log` writes: each step once, whatever interrupts a turn; and no disk of a log's loses a turn."""

import errno
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from alx.cli.main import run
from alx.errors import StorageError, UsageError
from alx.learning import trajectory
from alx.turns import checkpoints, log
from alx.turns.log import Record, Target
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import refused

LOGGED = (
    PLAN.replace("rounds = 2", 'rounds = 2\nselect_on = "validation"\nvalidation_share = 0.4').replace(
        "round_steps = 12", "round_steps = { learner = 12, provider = 6 }"
    )
    + '\n[training]\nvalidations = 4\nschedule = { name = "cosine" }\n'
)


@pytest.fixture(scope="module")
def _paired(tmp_path_factory):
    return pair_world(make_world(tmp_path_factory.mktemp("log") / "w", LOGGED)).root


@pytest.fixture
def world(_paired, tmp_path):
    return World(shutil.copytree(_paired, tmp_path / "w"))


def train(world, *logs):
    return run(["train-local", "--site", str(world.folder("learner")), *(f"--log={each}" for each in logs)])


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_a_log_has_every_step_with_its_losses_and_its_rate(world, tmp_path):
    path = tmp_path / "turns.jsonl"
    assert train(world, path) == 0
    found = lines(path)
    name = world.state("learner").position.sealed[-1].bundle
    assert [r["step"] for r in found] == [*range(1, 13)]
    assert {r["bundle"] for r in found} == {name}
    assert [r["step"] for r in found if r["validation"] is not None] == [3, 6, 9, 12]
    assert found[0]["lr"] == pytest.approx(0.01)
    assert found[6]["lr"] == pytest.approx(0.005)  # half-way down the cosine
    assert all(r["loss"] > 0 for r in found)
    assert all(a["seconds"] <= b["seconds"] for a, b in itertools.pairwise(found))
    assert list(found[0]) == ["bundle", "step", "loss", "lr", "validation", "seconds"]


def test_a_validation_loss_is_the_mean_that_is_signed(world, tmp_path):
    """Of the last snapshot the manifest has the sum over the same samples."""
    train(world, path := tmp_path / "turns.jsonl")
    bundle = world.folder("learner") / "outbox" / lines(path)[0]["bundle"]
    manifest = json.loads((bundle / "manifest.json").read_text())
    by_step = {c["step"]: c["loss"] / manifest["samples"] for c in manifest["candidates"]}
    for record in lines(path):
        if record["validation"] is not None and record["step"] in by_step:
            assert record["validation"] == pytest.approx(by_step[record["step"]], rel=1e-9)


def test_a_log_changes_nothing_of_the_turn(world, tmp_path):
    other = World(shutil.copytree(world.root, tmp_path / "other"))
    train(world, tmp_path / "turns.jsonl")
    train(other)
    digests = [each.state("learner").position.sealed[-1].digest for each in (world, other)]
    assert digests[0] == digests[1]


def test_nobody_looks_and_nothing_is_validated(world, monkeypatch, tmp_path):
    seen = []
    validate = trajectory.Run.validate
    monkeypatch.setattr(trajectory.Run, "validate", lambda run: (seen.append(run.at), validate(run))[1])
    other = World(shutil.copytree(world.root, tmp_path / "other"))
    train(world)
    assert seen == []
    train(other, tmp_path / "turns.jsonl")
    assert seen == [3, 6, 9, 12]


class _KilledError(BaseException):
    """Nobody catches it."""


def test_a_turn_that_is_killed_and_gone_on_with_is_logged_once(world, tmp_path, monkeypatch):
    whole = World(shutil.copytree(world.root, tmp_path / "whole"))
    train(whole, tmp_path / "whole.jsonl")
    path, put = tmp_path / "turns.jsonl", log.Log.put
    for dies, checkpoint in ((3, 0), (4, 60), (9, 0), (11, 60)):  # with a checkpoint after each step, and with none

        def dying(self, record, dies=dies):
            put(self, record)
            if record.step == dies:
                raise _KilledError

        with monkeypatch.context() as patched:
            patched.setattr(checkpoints, "TIMES_ITS_COST", checkpoint)
            patched.setattr(log.Log, "put", dying)
            with pytest.raises(_KilledError):
                train(world, path)
        with path.open("ab") as file:  # half a line, as a power cut leaves it
            file.write(b'{"bundle": "alx-')
    assert train(world, path) == 0
    found, expected = (
        [{n: v for n, v in r.items() if n != "seconds"} for r in lines(p)] for p in (path, tmp_path / "whole.jsonl")
    )
    assert found == expected
    digests = [each.state("learner").position.sealed[-1].digest for each in (world, whole)]
    assert digests[0] == digests[1]


def test_the_next_turn_is_written_behind(world, tmp_path):
    path = tmp_path / "turns.jsonl"
    train(world, path)
    with log.opened([Target(path, board=False)], "alx-00000000-r002-learner") as written:
        written.put(Record(1, 0.5, float("inf"), float("nan")))
    *before, last = lines(path)
    assert len(before) == 12
    assert {n: last[n] for n in ("bundle", "step", "loss", "lr", "validation")} == {
        "bundle": "alx-00000000-r002-learner",
        "step": 1,
        "loss": 0.5,
        "lr": None,
        "validation": None,
    }


def test_a_disk_that_fails_ends_the_log_and_not_the_turn(world, tmp_path, alx, monkeypatch):
    path, good, write = tmp_path / "turns.jsonl", tmp_path / "good.jsonl", log._Lines.put

    def failing(self, record):
        if self.where == path and record.step == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, record)

    monkeypatch.setattr(log._Lines, "put", failing)
    told = alx("train-local", "--site", world.folder("learner"), "--log", path, "--log", good, "--json")
    assert told.code == 0
    assert json.loads(told.out)["unlogged"] == [f"'{path}' ends before step 5: No space left on device"]
    assert [r["step"] for r in lines(path)] == [1, 2, 3, 4]
    assert len(lines(good)) == 12
    assert world.state("learner").position.sealed


def test_a_log_that_failed_is_worth_a_look(world, tmp_path, alx, monkeypatch):
    def failing(_self, _record):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(log._Lines, "put", failing)
    told = alx("train-local", "--site", world.folder("learner"), "--log", tmp_path / "a.jsonl")
    assert "LOOK: the log '" in told.out
    assert "ends before step 1: Input/output error; the turn is good all the same" in told.out


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n",
        b"no line end",
        b'{"bundle": 1, "step": 2, "seconds": 3}\n',
        b'{"bundle": "a", "step": 2, "seconds": NaN}\n',
        b"[1]\n",
        b"\xff\n",
        b"{}\n",
        b"[" * 9999 + b"\n",
    ],
)
def test_a_file_that_is_no_log_is_left_alone(world, tmp_path, capsys, content):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    words = ["train-local", "--site", str(world.folder("learner")), "--log", str(path)]
    refused(capsys, words, UsageError, "exists, and is no log of train-local's", hint="name another file")
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_is_refused_before_any_training(world, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    words = ["train-local", "--site", str(world.folder("learner"))]
    for place, said in (
        (tmp_path / "pipe", "is no log"),
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "a.jsonl", "there is no folder"),
        (world.folder("learner") / "a.jsonl", "lies in the site"),
        (f"tensorboard:{world.folder('learner') / 'runs'}", "lies in the site"),
    ):
        refused(capsys, [*words, "--log", str(place)], UsageError, said)
    assert not (world.folder("learner") / "work").exists()


def test_tensorboard_that_is_not_installed_is_refused_before_any_training(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    words = ["train-local", "--site", str(world.folder("learner")), "--log", f"tensorboard:{tmp_path / 'runs'}"]
    refused(capsys, words, UsageError, "tensorboard, which is not installed", hint="pip install 'alx[tensorboard]'")
    assert not (tmp_path / "runs").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_tensorboard_shows_every_step_once(world, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415 - an extra

    put = log.Log.put

    def dying(self, record):
        put(self, record)
        if record.step == 7:
            raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(log.Log, "put", dying)
        with pytest.raises(_KilledError):
            train(world, f"tensorboard:{tmp_path / 'runs'}")
    assert train(world, f"tensorboard:{tmp_path / 'runs'}") == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == world.state("learner").position.sealed[-1].bundle
    found = EventAccumulator(str(folder))
    found.Reload()
    assert [e.step for e in found.Scalars("loss")] == [*range(1, 13)]
    assert [e.step for e in found.Scalars("validation")] == [3, 6, 9, 12]
    assert found.Scalars("lr")[0].value == pytest.approx(0.01)


def test_a_log_is_named_as_a_file_or_as_tensorboards_folder():
    assert Target.of("a.jsonl") == (Path("a.jsonl"), False)
    assert Target.of("tensorboard:runs/x") == (Path("runs/x"), True)


def test_a_folder_that_cannot_be_made_is_told_before_any_training(world, tmp_path, capsys, monkeypatch):
    class Writer:
        pass

    module = type(sys)("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    (tmp_path / "file").write_text("x")
    words = ["train-local", "--site", str(world.folder("learner")), "--log", f"tensorboard:{tmp_path / 'file'}"]
    refused(capsys, words, StorageError, "cannot use")
