"""A site is made whole or not at all: what stops `alx init` and `alx restore`, and what is left then."""

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from alx.cli.main import run
from alx.errors import StorageError, TrustError, UsageError
from alx.site.chain import MAX_PATH_BYTES
from tests.conftest import PLAN
from tests.forge import refused
from tests.killed import killed

LONGEST = MAX_PATH_BYTES - len("/ledger.sqlite") - len("..new")  # while it is made it has a longer name


def making(root, folder):
    return ["init", str(folder), "--role", "learner", "--plan", f"{root}/plan.toml", "--data", f"npz:{root}/learner.npz"]


def of_length(root, length):
    folder = root
    while length - len(os.fsencode(folder)) > 102:
        folder /= "ä" * 50
    return folder / ("b" * (length - len(os.fsencode(folder)) - 1))


def test_a_path_that_sqlite_cannot_open_is_refused_before_a_key_is_made(stage, capsys):
    world = stage("paired")
    folder = of_length(world.root, LONGEST + 1)
    told = (f"has {MAX_PATH_BYTES + 1} bytes", f"at most {MAX_PATH_BYTES}")
    refused(capsys, making(world.root, folder), UsageError, *told, hint="a folder with a shorter path")
    assert run(["backup", str(world.root / "backup"), "--site", str(world.folder("learner"))]) == 0
    refused(capsys, ["restore", str(world.root / "backup"), str(folder)], UsageError, *told, hint="shorter path")
    name = "c" * 300
    refused(capsys, making(world.root, world.root / name), StorageError, "File name too long", hint="take a shorter name")
    assert not [p for p in world.root.iterdir() if p.name.startswith((".", "c", "ä"))]


def test_the_root_of_all_folders_is_no_site_and_no_bundle(stage, capsys):
    world = stage("paired")
    refused(capsys, making(world.root, Path("/")), UsageError, "/ is no site", hint="name a new folder")
    assert run(["backup", str(world.root / "backup"), "--site", str(world.folder("learner"))]) == 0
    refused(capsys, ["restore", str(world.root / "backup"), "/"], UsageError, "/ is no site", hint="name a new folder")
    refused(
        capsys,
        ["import-and-select", "/", "--site", str(world.folder("learner"))],
        UsageError,
        "/ is no bundle",
        hint="round.sig",
    )


def test_a_site_with_the_longest_path_works_and_loses_its_ledger_like_any_other(stage, capsys):
    world = stage("paired")
    folder = of_length(world.root, LONGEST)
    assert run(making(world.root, folder)) == 0
    assert run(["identity", str(world.disk / "new.json"), "--site", str(folder)]) == 0
    (folder / "ledger.sqlite").unlink()
    assert run(["reset-ledger", "--reason", "test", "--yes", "--site", str(folder)]) == 0
    longer = folder.with_name(folder.name + "bbbbbb")
    folder.rename(longer)
    refused(capsys, ["status", "--site", str(longer)], UsageError, "and SQLite opens", hint="shorter path")


@pytest.mark.parametrize("stopped", [OSError(errno.ENOSPC, "no space"), KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
@pytest.mark.parametrize("command", ["init", "restore"])
def test_stopped_anywhere_it_leaves_no_key_behind(command, stopped, stage, monkeypatch):
    world = stage("paired")
    place = world.root / "place"
    place.mkdir()
    arguments = making(world.root, place / "clinic")
    if command == "restore":
        assert run(["backup", str(world.root / "backup"), "--site", str(world.folder("learner"))]) == 0
        arguments = ["restore", str(world.root / "backup"), str(place / "clinic")]
    opened, left = os.open, 0

    def failing(path, *arguments, **named):
        nonlocal left
        if "/place/" in str(path):
            left -= 1
            if left == 0:
                raise stopped
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", failing)
    for point in range(1, 100):
        left = point
        if run(arguments) == 0:
            break
        assert list(place.iterdir()) == [], point
    assert point > 8
    assert [p.name for p in place.iterdir()] == ["clinic"]


def test_what_a_killed_init_left_behind_the_next_one_removes(stage, tmp_path):
    (left := (template := stage("paired")).root / "place" / ".clinic.new").mkdir(parents=True)
    for name in ("outbox", "inbox", "rotations"):  # of one killed before, which this one removes first
        (left / name).mkdir()
    (left / "key.pem").write_text("secret")
    seen = set()
    for what, world in killed(template, tmp_path / "work", *making("{}", "{}/place/clinic"), every=6):
        place = world.root / "place"
        seen |= {p.name for p in place.iterdir()}
        if not (place / "clinic").exists():
            assert run(making(world.root, place / "clinic")) == 0, what
        assert [p.name for p in place.iterdir()] == ["clinic"], what
    assert ".clinic.new" in seen


def test_a_copy_of_a_site_that_lost_its_empty_folders_gets_them_again(stage):
    world = stage("paired")
    for role in ("learner", "provider"):
        for box in ("inbox", "outbox"):
            (world.folder(role) / box).rmdir()
    assert world.take("provider", world.turn("learner")) == 0
    assert world.take("learner", world.turn("provider")) == 0
    boxes = [world.folder(role) / box for role in ("learner", "provider") for box in ("inbox", "outbox")]
    assert {stat.S_IMODE(box.stat().st_mode) for box in boxes} == {0o700}


@pytest.mark.parametrize("command", ["init", "restore"])
def test_whose_folder_has_the_name_under_which_a_site_is_made_keeps_it(command, stage, capsys):
    world = stage("paired")
    arguments = making(world.root, world.root / "clinic")
    if command == "restore":
        assert run(["backup", str(world.root / "backup"), "--site", str(world.folder("learner"))]) == 0
        arguments = ["restore", str(world.root / "backup"), str(world.root / "clinic")]
    theirs = world.root / ".clinic.new"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years of work")
    told = ("is in the way, and no site that was being made",)
    refused(capsys, arguments, UsageError, *told, hint="name another folder")
    theirs.rename(world.root / "kept")
    theirs.symlink_to(world.root / "kept")
    refused(capsys, arguments, UsageError, *told, hint="name another folder")
    theirs.unlink()
    (world.root / "empty").mkdir()
    for target in ("empty", "nowhere"):
        (world.root / "clinic").symlink_to(world.root / target)
        refused(capsys, arguments, UsageError, "clinic' is a link", hint="name a new folder")
        (world.root / "clinic").unlink()
    assert (world.root / "kept" / "thesis.txt").read_text() == "years of work"
    assert run(arguments) == 0


def test_a_file_system_without_modes_is_told_with_a_remedy_that_helps(stage, capsys, monkeypatch):
    world = stage("paired")
    assert run(["backup", str(world.root / "backup"), "--site", str(world.folder("learner"))]) == 0
    place = world.root / "windows"
    place.mkdir()
    opened, mkdir, before = os.open, os.mkdir, os.umask(0)

    def opening(path, flags, mode=0o777, *, dir_fd=None):
        return opened(path, flags, 0o777 if "/windows/" in str(path) else mode, dir_fd=dir_fd)

    def making_folder(path, mode=0o777, *, dir_fd=None):
        mkdir(path, 0o777 if "/windows/" in str(path) else mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "mkdir", making_folder)
    try:
        for command in (
            making(world.root, place / "clinic"),
            ["restore", str(world.root / "backup"), str(place / "clinic")],
        ):
            told = ("keeps no modes", "a file made with mode 0600 has 0777", "a folder made with 0700 has 0777")
            refused(capsys, command, StorageError, *told, hint="in WSL2 below your home folder and not below /mnt")
            assert list(place.iterdir()) == []
    finally:
        os.umask(before)


def test_where_chmod_cannot_help_the_hint_says_so(stage, capsys):
    world = stage("sent")
    folder = world.folder("provider")
    shutil.copytree(folder, elsewhere := world.root / "moved")
    hint = "where chmod changes nothing, move the site to the machine's own disk first: docs/keys.md"
    (elsewhere / "key.pem").chmod(0o777)
    refused(capsys, ["key", "passphrase", "--remove", "--site", str(elsewhere)], TrustError, "0777", hint=hint)
    elsewhere.chmod(0o777)
    refused(capsys, ["status", "--site", str(elsewhere)], TrustError, "0777", hint=hint)


def test_a_path_of_data_that_is_no_text_is_refused_in_words(tmp_path, capsys):
    place = os.fsdecode(os.fsencode(tmp_path) + b"/d\xff")
    Path(place).mkdir()
    (tmp_path / "plan.toml").write_text(PLAN)
    (Path(place) / "own.npz").write_bytes(b"")
    words = ["init", str(tmp_path / "s"), "--role", "learner", "--plan", str(tmp_path / "plan.toml")]
    told = refused(capsys, [*words, "--data", f"npz:{place}/own.npz"], UsageError, "a path is not UTF-8", hint="rename")
    assert "d\\udcff" in told
    assert not (tmp_path / "s").exists()
