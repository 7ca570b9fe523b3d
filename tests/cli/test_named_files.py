"""What a command writes where a person said: it replaces what alx made of that kind, and no site holds but its own."""

import os
import shutil

import pytest
import torch
from safetensors.torch import save_file

from alx.cli.main import run
from alx.errors import CorruptError, UsageError
from tests.forge import refused

KINDS = {
    "identity": "no identity file of this site's",
    "key rotate": "no rotation file of this site's",
    "describe": "no description",
    "best": "no model of alx best",
    "request": "no request of this site's",
}
FOLDERS = [*KINDS, "backup", "init", "restore", "export", "demo", "simulate"]


@pytest.fixture
def world(stage):
    """The provider has answered; and something of everything that a person may have."""
    world = stage("answered")
    things = world.root / "things"
    things.mkdir()
    (things / "thesis.txt").write_text("years of work")
    (things / "empty").touch()
    (things / "link").symlink_to(things / "thesis.txt")
    (things / "dangling").symlink_to(things / "nothing")
    os.mkfifo(things / "pipe")
    save_file({"weight": torch.ones(3)}, things / "theirs.safetensors", {"format": "pt"})
    for name in ("key.pem", "public.pem", "plan.toml", "peer.json", "ledger.sqlite"):
        shutil.copy(world.folder("learner") / name, things / name)
    return world


def writing(kind, world, out):
    """The command line of the learner that writes such a file."""
    site = ["--site", str(world.folder("learner"))]
    if kind != "request":
        return [*kind.split(), str(out), *site]
    return ["import-and-select", str(world.disk / "broken"), "--request", str(out), *site]


def break_bundle(world):
    broken = shutil.copytree(world.bundle("provider"), world.disk / "broken")
    next(broken.glob("data/*")).write_bytes(b"")


def naming(kind, world, inside):
    """The command line of the learner that writes such a thing in a folder."""
    named, site, plan = inside / "new", ["--site", str(world.folder("learner"))], str(world.root / "plan.toml")
    return {
        "backup": ["backup", str(named), *site],
        "init": ["init", str(named), "--role", "learner", "--plan", plan, "--data", f"npz:{world.root}/learner.npz"],
        "restore": ["restore", str(world.root / "backup"), str(named)],
        "export": ["export", str(inside), *site],
        "demo": ["demo", "--dir", str(named)],
        "simulate": ["simulate", plan, "--out", str(named)],
    }.get(kind) or writing(kind, world, named)


def contents(folder):
    links = {p: p.readlink() for p in folder.rglob("*") if p.is_symlink()}
    return links | {p: p.read_bytes() for p in folder.rglob("*") if p not in links and p.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_alx_made_of_that_kind_is_replaced(kind, world, capsys):
    break_bundle(world)
    outs = {k: world.root / f"{k}.out" for k in KINDS}
    assert run(writing("request", world, outs["request"])) == CorruptError.exit_code
    if kind != "request":
        assert world.take("learner", world.bundle("provider")) == 0
        assert [run(writing(k, world, out)) for k, out in outs.items() if k != "request"] == [0, 0, 0, 0]
    before = contents(world.root)
    others = [out for k, out in outs.items() if k != kind and out.exists()]
    for out in (*sorted((world.root / "things").iterdir()), *others, world.disk / "provider.json"):
        refused(capsys, writing(kind, world, out), UsageError, "exists, and is", KINDS[kind], hint="name another file")
    after = contents(world.root)
    assert {p for p in before if before[p] != after.get(p)} <= {world.folder("learner") / "events.sqlite"}
    assert run(writing(kind, world, outs[kind])) == (CorruptError.exit_code if kind == "request" else 0)


@pytest.mark.parametrize("kind", FOLDERS)
def test_nothing_is_written_into_a_bundle_which_could_not_be_imported_then(kind, world, capsys):
    """`alx export BUNDLE`, as the import takes it, is a slip for `alx export DISK`."""
    bundle = world.bundle("provider")
    if kind == "restore":
        assert run(["backup", str(world.root / "backup"), "--site", str(world.folder("learner"))]) == 0
    for inside in (bundle, bundle / "data"):
        refused(capsys, naming(kind, world, inside), UsageError, "lies in the bundle", hint="name a place outside of it")
    assert world.take("learner", bundle) == 0


@pytest.mark.parametrize("kind", FOLDERS)
def test_nothing_is_written_into_a_site_its_own_or_another(kind, world, capsys, monkeypatch):
    learner = world.folder("learner")
    if kind != "request":
        assert world.take("learner", world.bundle("provider")) == 0
    if kind == "restore":
        assert run(["backup", str(world.root / "backup"), "--site", str(learner)]) == 0
    (world.root / "way-in").symlink_to(world.folder("provider") / "outbox")
    (learner / "data").mkdir()
    before = contents(world.root)
    for inside in (learner, learner / "data", learner / "outbox", world.folder("provider"), world.root / "way-in"):
        refused(capsys, naming(kind, world, inside), UsageError, "lies in the site", hint="name a place outside of it")
    after = contents(world.root)
    assert {p for p in {*before, *after} if before.get(p) != after.get(p)} <= {
        learner / "events.sqlite",
        learner / "lock",
        world.folder("provider") / "lock",
    }
    if kind == "best":
        monkeypatch.chdir(learner)
        for name in ("key.pem", "ledger.sqlite", "model.safetensors"):
            refused(capsys, ["best", name], UsageError, "lies in the site")
        assert run(["best", "../model.safetensors"]) == 0


def test_a_file_that_nobody_named_goes_into_the_folder_one_stands_in_but_into_no_bundle(world, monkeypatch, capsys):
    learner = world.folder("learner")
    assert world.take("learner", world.bundle("provider")) == 0
    for folder in (learner, world.root / "things"):
        monkeypatch.chdir(folder)
        for command, name in ((["identity"], "tiny-learner.json"), (["key", "rotate"], "tiny-learner-rotation.json")):
            for _ in range(2):
                assert run([*command, "--site", str(learner)]) == 0
            assert (folder / name).is_file()
    monkeypatch.chdir(next((learner / "outbox").iterdir()))
    for command in (["identity"], ["key", "rotate"]):
        refused(capsys, command, UsageError, "lies in the site")


def test_a_folder_that_only_looks_like_a_stopped_backup_or_a_study_stays(world, capsys):
    theirs = world.root / "copy.partial"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    command = ["backup", str(world.root / "copy"), "--site", str(world.folder("learner"))]
    refused(capsys, command, UsageError, "is in the way, and no backup that was stopped", hint="another folder")
    (world.root / "study").mkdir()
    for text in ("no JSON", "[1, 2]", "3", "{}"):
        (world.root / "study" / "study.json").write_text(text)
        command = ["simulate", str(world.root / "plan.toml"), "--out", str(world.root / "study")]
        refused(capsys, command, UsageError, "stud", hint="name another folder with --out")
        assert [p.name for p in (world.root / "study").iterdir() if p.name != "lock"] == ["study.json"]
    assert (theirs / "thesis.txt").read_text() == "years of work"
