"""The security log: every command's deed and every refusal, chained; nothing lost where a command is killed in between."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from alx.cli.main import run
from alx.errors import LedgerError, TrustError
from alx.site import events, ledger
from tests import forge
from tests.conftest import World


def log(world, role):
    return events.read(world.folder(role) / "events.sqlite")


def test_a_whole_exchange_stands_in_the_log_as_it_stands_in_the_ledger(stage):
    world = stage("finished")
    for role in ("learner", "provider"):
        entries = ledger.read(world.folder(role) / "ledger.sqlite")
        told = [(e.line.kind, e.entry) for e in log(world, role)]
        assert [each for each in told if each not in {("media", None), ("receipt", None)}] == [
            (e.line.kind, e.line.digest) for e in entries
        ]
        assert all(e.at.endswith("+00:00") for e in log(world, role))


def test_no_loss_but_the_global_one_stands_in_the_log(stage):
    selected = next(e for e in log(stage("finished"), "learner") if e.line.kind == "selected")
    assert not [k for k, v in json.loads(selected.line.body).items() if isinstance(v, list | dict)]


def test_a_refused_bundle_is_recorded_with_its_reason_and_changes_nothing_else(stage, capsys):
    world = stage("sent")
    bundle = world.bundle("learner")
    (bundle / "data" / "c0000-p0000.safetensors.zst").write_bytes(b"x")
    before = len(log(world, "provider"))
    assert forge.run(forge.command(world, "provider", bundle)) == 12
    told = capsys.readouterr().err
    media, last = log(world, "provider")[before:]
    assert (media.line.kind, media.record.use, media.record.about) == ("media", "import", bundle.name)
    assert (last.line.kind, last.record.command, last.record.about) == ("refused", "import-and-select", bundle.name)
    assert (last.record.error, last.record.exit_code) == ("CorruptError", 12)
    assert last.record.message in told
    assert "c0000-p0000" in last.record.message


def test_words_that_were_not_the_same_are_recorded(stage, monkeypatch, capsys):
    world = stage("paired")
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    forge.refused(
        capsys, ["pair", str(world.disk / "provider.json"), "--site", str(world.folder("learner"))], TrustError, "words"
    )
    assert log(world, "learner")[-1].record.command == "pair"


def test_what_a_killed_command_did_not_log_is_logged_by_the_next(stage, alx):
    """The ledger is one step ahead of the log, as after kill -9 between the two."""
    world = stage("sent")
    behind = world.folder("learner") / "events.sqlite"
    shutil.copy(stage("paired").folder("learner") / "events.sqlite", behind)
    told = alx("audit", world.folder("learner"))
    assert told.code == 0
    assert "not logged yet" in told.out
    assert alx("export", world.disk, "--site", world.folder("learner")).code == 0
    assert [e.line.kind for e in log(world, "learner")] == ["created", "paired", "sealed", "exported", "media", "exported"]
    assert "not logged yet" not in alx("audit", world.folder("learner")).out


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["report", "{site}", "--sign", "-o", "{out}"], "reported"),
        (["describe", "{out}", "--site", "{site}"], "described"),
        (["receipt", "-o", "{out}", "--site", "{site}"], "receipt"),
        (["backup", "{out}", "--site", "{site}"], "backed-up"),
    ],
)
def test_what_leaves_as_a_file_is_logged_before_the_file_has_its_name(stage, alx, tmp_path, monkeypatch, words, kind):
    """As after kill -9 in between: no such file lies anywhere without its event."""
    world = stage("closed")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        patch.setattr(Path, "rename", killed)
        alx(*(word.format(site=world.folder("provider"), out=tmp_path / "out") for word in words))
    assert not (tmp_path / "out").exists()
    assert log(world, "provider")[-1].line.kind == kind


@pytest.mark.parametrize("command", ["status --site", "audit", "report --json"])
def test_what_another_process_records_meanwhile_is_no_fault(stage, alx, monkeypatch, command):
    """A command that runs beside this one is done with its entry between the readings of the two chains."""
    folder = stage("sent").folder("learner")
    entry, opened, connect = ledger.read(folder / "ledger.sqlite")[-1], [], sqlite3.connect

    def between(*words, **options):
        opened.append(words)
        if len(opened) == 2:
            events.catch_up(folder / "events.sqlite", ledger.append(folder / "ledger.sqlite", entry.record))
        return connect(*words, **options)

    monkeypatch.setattr(sqlite3, "connect", between)
    told = alx(*command.split(), folder)
    assert (told.code, told.err) == (0, "")
    assert len(opened) > 2
    assert [e.line.kind for e in log(World(folder.parent), "learner")][-2:] == ["exported", "exported"]


def test_a_ledger_older_than_the_log_is_refused_by_every_command(stage, capsys):
    world, old = stage("sent"), stage("paired")
    shutil.copy(old.folder("learner") / "ledger.sqlite", world.folder("learner") / "ledger.sqlite")
    for command in (["train-local"], ["export", str(world.disk)], ["audit"]):
        where = [str(world.folder("learner"))] if command == ["audit"] else ["--site", str(world.folder("learner"))]
        forge.refused(capsys, [*command, *where], LedgerError, "lacks 2 of the entries", hint="newest backup")
    told = [e.record.error for e in log(world, "learner") if e.line.kind == "refused"]
    assert told == ["LedgerError"] * 4  # each command twice; an audit writes nothing


@pytest.mark.parametrize("harm", ["gone", "changed", "empty"])
def test_a_log_that_is_lost_or_changed_is_refused(stage, capsys, harm):
    world = stage("sent")
    path = world.folder("provider") / "events.sqlite"
    if harm == "changed":
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TRIGGER no_update")
            connection.execute("UPDATE entries SET body = '{}' WHERE number = 1")
        connection.close()
    else:
        path.unlink()
        if harm == "empty":
            path.touch()
    world_before = world.fingerprint("provider")
    forge.refused(
        capsys,
        forge.command(world, "provider", world.bundle("learner")),
        LedgerError,
        {"gone": "is missing", "changed": "broken at entry 1", "empty": "no event log"}[harm],
    )
    forge.refused(capsys, ["audit", str(world.folder("provider"))], LedgerError)
    assert world.fingerprint("provider") == world_before


def test_a_refusal_that_cannot_be_recorded_is_told_all_the_same(stage, capsys, monkeypatch):
    world = stage("sent")
    (world.bundle("learner") / "manifest.json").write_bytes(b"{}")

    def full(*_):
        raise events.AlxError("no space")

    monkeypatch.setattr(events, "refused", full)
    assert run(forge.command(world, "provider", world.bundle("learner"))) == 12
    assert "nor could the event log record this: no space" in capsys.readouterr().err


def test_an_audit_tells_what_left_the_site(stage, alx):
    world = stage("finished")
    told = alx("audit", world.folder("learner")).out.splitlines()[-1]
    assert told.startswith("what left this site: 2 bundles (")
    assert "1 global loss, and the sample count 40" in told  # of its second turn, and none of the first
    assert told.endswith("; and receipts of 1 bundle of the peer's, with both keys, and the time at which each was accepted")
    assert alx("audit", stage("paired").folder("learner")).out.splitlines()[-1] == "what left this site: no bundle yet"
    said = json.loads(alx("audit", world.folder("learner"), "--json").out)
    assert [e["kind"] for e in said["events"] if e["kind"] not in {"media", "receipt"}] == [
        e["kind"] for e in said["entries"]
    ]
