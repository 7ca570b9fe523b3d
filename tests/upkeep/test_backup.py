"""A site is backed up and restored with one command each: all of it or nothing, and what is restored goes on."""

import json
import os
import re
import shutil
import stat

import pytest

from alx import audit
from alx.cli.main import run
from alx.errors import CorruptError, ForbiddenFileError, IncompleteError, LedgerError, LimitError, MalformedError, UsageError
from alx.site import restoration
from alx.upkeep import backup as backups
from tests.forge import refused
from tests.killed import history, killed
from tests.mending import fill
from tests.project.test_generated import validator
from tests.site.test_keys import PASSPHRASE, set_passphrase


def back_up(world, role="learner", name="backup"):
    folder = world.root / name
    assert run(["backup", str(folder), "--site", str(world.folder(role))]) == 0
    return folder


def restoring(world, backup, role="learner"):
    return ["restore", str(backup), str(world.folder(role))]


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


def test_a_restored_site_is_what_was_backed_up_and_the_exchange_goes_on(stage):
    world = stage("answered")
    folder = world.folder("learner")
    (folder / "notes").mkdir()
    (folder / "notes" / "a name with spaces, äöü.txt").write_text("hello")
    before, told = contents(folder), history(world, "learner")
    backup = back_up(world)
    validator("backup").validate(json.loads((backup / "backup.json").read_text()))
    shutil.rmtree(folder)
    assert run(restoring(world, backup)) == 0
    after = contents(folder)
    assert {k: v for k, v in after.items() if ".sqlite" not in k} == {k: v for k, v in before.items() if ".sqlite" not in k}
    body = {"entries": len(told), "ledger": json.loads((backup / "backup.json").read_text())["ledger"]}
    assert history(world, "learner") == [*told, ("restored", body)]
    assert [e.line.kind for e in audit.site(world.site("learner")).events][-1] == "restored"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert world.take("learner", world.bundle("provider")) == 0
    assert world.take("provider", world.turn("learner")) == 0


def test_a_restored_site_says_so_in_its_next_bundle_alone_and_the_receiver_is_shown_it(stage, capsys):
    world = stage("answered")
    backup = back_up(world)
    shutil.rmtree(world.folder("learner"))
    assert run(restoring(world, backup)) == 0
    at = next(e.at for e in audit.site(world.site("learner")).events if e.line.kind == "restored")
    assert world.take("learner", world.bundle("provider")) == 0
    said = json.loads((world.turn("learner") / "manifest.json").read_text())
    assert said["restored"] == {"how": "backup", "at": at, "round": 1}
    capsys.readouterr()
    assert world.take("provider", world.bundle("learner", 2)) == 0
    out = capsys.readouterr().out
    assert (
        f"LOOK: the peer says that its site was restored at {at}, to round 1; its bundle continues the history here" in out
    )
    flags = world.state("provider").position.selected[-1].flags
    assert (flags.restored_at, flags.restored_to) == (at, 1)
    assert restoration.since_last_sealed(world.state("learner")) is None
    assert json.loads((world.turn("provider") / "manifest.json").read_text())["restored"] is None


def test_before_the_first_bundle_a_site_is_restored_with_its_empty_boxes(stage):
    world = stage("paired")
    backup = back_up(world)
    shutil.rmtree(world.folder("learner"))
    assert run(restoring(world, backup)) == 0
    assert world.take("provider", world.turn("learner")) == 0


def test_what_a_backup_says(stage, alx):
    world = stage("sent")
    folder = world.folder("learner")
    (folder / "link").symlink_to("/etc/passwd")
    told = alx("backup", world.root / "one", "--site", folder).out
    assert "has no passphrase" in told
    assert "not in it: 'link'" in told
    assert "not in it: data that lie outside" in told
    assert not (world.root / "one" / "site" / "link").exists()
    set_passphrase(folder, PASSPHRASE)
    assert "encrypted by its passphrase" in alx("backup", world.root / "two", "--site", folder).out
    shutil.rmtree(folder)
    told = alx("restore", world.root / "two", folder).out
    assert "a fork that the peer refuses" in told
    assert "next, if none was: alx import-and-select" in told


def test_no_umask_opens_a_backup_to_others(stage):
    world = stage("sent")
    before = os.umask(0)
    try:
        backup = back_up(world)
        for path in backup.rglob("*"):
            path.chmod(0o777)  # a disk without modes
        shutil.rmtree(world.folder("learner"))
        assert run(restoring(world, backup)) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    assert stat.S_IMODE((world.folder("learner") / "key.pem").stat().st_mode) == 0o600
    assert all(not stat.S_IMODE(p.stat().st_mode) & 0o077 for p in world.folder("learner").rglob("*"))


def test_a_backup_goes_to_a_new_folder_outside_the_site(stage, capsys):
    world = stage("sent")
    back_up(world)
    command = ["backup", "--site", str(world.folder("learner"))]
    refused(capsys, [*command, str(world.root / "backup")], UsageError, "exists already", hint="name a new folder")
    refused(capsys, [*command, str(world.root / "none" / "backup")], UsageError, "no folder")
    refused(capsys, [*command, str(world.folder("learner") / "backup")], UsageError, "lies in the site")
    refused(capsys, [*command, str(world.folder("learner") / "outbox" / "b")], UsageError, "lies in the site")


def test_a_file_too_many_is_refused(stage, capsys, monkeypatch):
    world = stage("sent")
    monkeypatch.setattr(backups, "MAX_FILES", 3)
    command = ["backup", str(world.root / "b"), "--site", str(world.folder("learner"))]
    refused(capsys, command, LimitError, "may have 3")
    assert not (world.root / "b").exists()


@pytest.fixture
def backed_up(stage):
    """A world with a backup of its learner."""
    world = stage("sent")
    back_up(world)
    return world


def test_a_restore_overwrites_nothing(backed_up, capsys):
    refused(capsys, restoring(backed_up, backed_up.root / "backup"), UsageError, "exists and is not empty")


def test_every_changed_truncated_or_missing_file_of_a_backup_is_named(stage, capsys):
    world = stage("sent")
    backup = back_up(world)
    shutil.rmtree(world.folder("learner"))
    names = [f["name"] for f in json.loads((backup / "backup.json").read_text())["files"]]
    assert {"key.pem", "ledger.sqlite", "events.sqlite", "plan.toml", "site.toml"} <= set(names)
    for i, name in enumerate(names):
        path = backup / "site" / name
        good = path.read_bytes()
        if i % 3 == 0:
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        elif i % 3 == 1:
            path.write_bytes(good[:-1])
        else:
            path.unlink()
    told = refused(capsys, restoring(world, backup), CorruptError, f"{len(names)} of the backup's files ")
    assert all(f"'{name}'" in told for name in names[:20])
    assert not world.folder("learner").exists()


def test_a_backup_without_its_list_was_not_finished(stage, capsys):
    world = stage("sent")
    backup = back_up(world)
    shutil.rmtree(world.folder("learner"))
    listed = (backup / "backup.json").read_text()
    (backup / "backup.json").unlink()
    refused(capsys, restoring(world, backup), IncompleteError, "was not finished")
    refused(capsys, restoring(world, world.root / "nowhere"), UsageError, "no folder")
    for text, error, word in (
        ("{", MalformedError, "not JSON"),
        (listed.replace('"alx-backup"', '"zip"'), MalformedError, "format"),
        (listed.replace('"site.toml"', '"../site.toml"'), ForbiddenFileError, "../site.toml"),
        (listed.replace('"site.toml"', '"/site.toml"'), ForbiddenFileError, "/site.toml"),
        (listed.replace('"site.toml"', '"a//b"'), ForbiddenFileError, "a//b"),
        (listed.replace('"site.toml"', f'"{"a/" * 1500}b"'), ForbiddenFileError, "no path inside a site"),
        (listed.replace('"site.toml"', '"plan.toml"'), MalformedError, "twice"),
        (re.sub(r'"size": \d+', '"size": 1' + "0" * 350, listed, count=1), MalformedError, "size"),
        (re.sub(r'"size": \d+', '"size": 1' + "0" * 30, listed, count=1), MalformedError, "size"),
    ):
        (backup / "backup.json").write_text(text)
        refused(capsys, restoring(world, backup), error, word)
    document = json.loads(listed)
    (backup / "backup.json").write_text(json.dumps(document | {"entries": 1}))
    refused(capsys, restoring(world, backup), LedgerError, "not the one that its list names")
    assert not world.folder("learner").exists()


def test_a_pipe_in_a_backup_is_not_waited_for(stage, capsys):
    world = stage("sent")
    backup = back_up(world)
    shutil.rmtree(world.folder("learner"))
    (backup / "site" / "plan.toml").unlink()
    os.mkfifo(backup / "site" / "plan.toml")
    refused(capsys, restoring(world, backup), CorruptError, "'plan.toml' is missing")


def test_a_backup_killed_anywhere_never_looks_finished_and_the_same_command_replaces_it(stage, tmp_path):
    template = stage("sent")
    before = history(template, "learner")
    worlds = killed(template, tmp_path / "killed", "backup", "{}/backup", "--site", "{}/learner", every=4)
    assert len(worlds) > 3
    for what, world in worlds:
        backup = world.root / "backup"
        if not backup.exists():
            back_up(world)
        assert not (world.root / "backup.partial").exists(), what
        assert history(world, "learner") == before, what
        shutil.rmtree(world.folder("learner"))
        assert run(restoring(world, backup)) == 0, what
        audit.site(world.site("learner"))


def test_what_a_killed_backup_or_restore_left_needs_no_room_again(stage, monkeypatch):
    world = stage("sent")
    disk = world.root / "stick"
    disk.mkdir()
    backup = back_up(world, name="stick/backup")
    with monkeypatch.context() as patch:
        fill(patch, disk)
        backup.rename(disk / "backup.partial")
        back_up(world, name="stick/backup")
    command = ["restore", str(backup), str(disk / "site")]
    assert run(command) == 0
    fill(monkeypatch, disk)
    (disk / "site").rename(disk / ".site.new")
    assert run(command) == 0
    assert sorted(p.name for p in disk.iterdir()) == ["backup", "site"]


def test_a_restore_killed_anywhere_leaves_no_site_or_a_whole_one(stage, tmp_path):
    template = stage("sent")
    before = history(template, "learner")
    back_up(template)
    shutil.rmtree(template.folder("learner"))
    worlds = killed(template, tmp_path / "killed", *("restore", "{}/backup", "{}/learner"), every=4)
    assert len(worlds) > 3
    for what, world in worlds:
        if not world.folder("learner").exists():
            assert run(restoring(world, world.root / "backup")) == 0, what
        assert history(world, "learner")[:-1] == before, what
        assert not list(world.root.glob(".learner.new")), what
        audit.site(world.site("learner"))


def test_a_list_without_what_makes_a_site_or_with_what_no_backup_holds_is_refused(stage, capsys):
    world, backup = stage("sent"), None
    backup = world.root / "backup"
    assert run(["backup", str(backup), "--site", str(world.folder("learner"))]) == 0
    said = json.loads((backup / "backup.json").read_text())
    for names, error in (
        ([f for f in said["files"] if f["name"] != "key.pem"], MalformedError),
        ([*said["files"], said["files"][0] | {"name": "lock/x"}], ForbiddenFileError),
    ):
        (backup / "backup.json").write_text(json.dumps(said | {"files": names}))
        refused(capsys, ["restore", str(backup), str(world.root / "again")], error)
        assert not list(world.root.glob(".again*"))


def test_a_failed_restore_leaves_no_private_key_behind(stage, capsys):
    world = stage("sent")
    backup = world.root / "backup"
    assert run(["backup", str(backup), "--site", str(world.folder("learner"))]) == 0
    said = json.loads((backup / "backup.json").read_text())
    (backup / "backup.json").write_text(json.dumps(said | {"entries": 1}))
    refused(capsys, ["restore", str(backup), str(world.root / "again")], LedgerError)
    assert not list(world.root.glob(".again*"))


def test_a_backup_and_a_passphrase_leave_their_events(stage, alx):
    world = stage("sent")
    folder = world.folder("learner")
    assert alx("backup", world.root / "backup", "--site", folder).code == 0
    assert "backed-up" in alx("audit", folder).out
