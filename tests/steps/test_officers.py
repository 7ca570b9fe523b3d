"""Where a plan names officers, a bundle leaves a house and enters another only with as many approvals as it says."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest

from alx import evidence
from alx.bundle import approval, keys
from alx.cli.main import run
from alx.errors import ConfigError, CorruptError, ForbiddenFileError, MalformedError, TrustError, UsageError
from alx.plan import parse
from alx.site import events
from alx.site.entries import Refused
from tests.conftest import PLAN
from tests.forge import Forge, refused, refused_import
from tests.officers import KEYS as OFFICERS
from tests.officers import approve, beside, fingerprint, outbox


@pytest.fixture
def sealed(stage):
    """The learner's first turn is sealed, and nobody has approved it."""
    return stage("waiting")


@pytest.fixture
def carried(stage):
    """Two of three have approved; it lies on the disk."""
    return stage("approved")


def export(world):
    return ["export", str(world.disk), "--site", str(world.folder("learner"))]


def test_a_bundle_leaves_with_two_of_three_approvals_and_is_taken_in(sealed, capsys):
    status, site = ["status", "--site", str(sealed.folder("learner"))], sealed.site("learner")
    assert run(status) == 0
    command = f"alx approve {outbox(sealed)} --key OFFICER.pem --from {site.folder / 'public.pem'}"
    command = f"next: {command}, by 2 more; then alx export DISK\n"
    assert f"approvals: 0 of 2 that the plan asks for are there\n{command}" in capsys.readouterr().out
    odd = beside(outbox(sealed)) / f"{'0' * 64}.json"
    odd.parent.mkdir()
    odd.write_text("{}")
    assert run(status) == 0
    assert f"approvals: one cannot be taken: '{odd.name}': " in capsys.readouterr().out
    odd.unlink()
    told = refused(capsys, export(sealed), TrustError, "0 of 2 approvals are there", "of 3 officers", hint="alx approve")
    assert "learner.approvals" in told
    approve(sealed, OFFICERS[0], OFFICERS[0])  # the same one twice is one
    refused(capsys, export(sealed), TrustError, "1 of 2 approvals are there")
    assert not list(sealed.disk.glob("alx-*"))
    approve(sealed, OFFICERS[2])
    capsys.readouterr()
    assert run(status) == 0
    assert "approvals: 2 of 2 that the plan asks for are there\nnext: alx export DISK\n" in capsys.readouterr().out
    refusals = [e.record for e in events.read(site.events_path) if isinstance(e.record, Refused)]
    assert [(r.error, r.to_come) for r in refusals] == [("TrustError", True)] * 4  # each was tried twice
    assert run(["report", str(site.folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["findings"] == []
    assert "Nothing was refused; 4 commands said what was still to come, another disk or an approval" in report["words"][-1]
    assert run(["audit", str(site.folder)]) == 0
    assert "their chain holds; 0 refusals; 4 commands said what was still to come" in capsys.readouterr().out
    assert run(export(sealed)) == 0
    agreed = sorted(fingerprint(OFFICERS[i]) for i in (0, 2))
    assert sorted(p.stem for p in beside(sealed.bundle("learner")).iterdir()) == agreed
    assert sealed.take("provider", sealed.bundle("learner")) == 0
    assert run(["audit", str(sealed.folder("learner"))]) == 0


def test_whose_approvals_were_seen_is_on_record_on_both_sides_and_in_the_report(carried, alx):
    assert carried.take("provider", carried.bundle("learner")) == 0
    agreed = tuple(sorted(fingerprint(k) for k in OFFICERS[:2]))
    for role, kind in (("learner", "exported"), ("provider", "accepted")):
        (entry,) = (e for e in carried.state(role).entries if e.line.kind == kind)
        assert entry.record.officers == agreed
        told = f"approved by {agreed[0][:16]}… and {agreed[1][:16]}…"
        assert told in alx("audit", carried.folder(role)).out
        page = json.loads(alx("report", carried.folder(role), "--json").out)
        (part,) = (p for c in page["clusters"] for p in c["parts"] if p["title"] == "Officers")
        assert part["tables"][0]["rows"] == [["1L", "learner", "2 of 3", each, ""] for each in agreed]
    assert carried.take("learner", carried.turn("provider")) == 0
    assert carried.state("learner").position.accepted[-1].officers is None


@pytest.mark.parametrize("name", ["a/b", "..", "\0"])
def test_a_name_that_is_signed_and_that_no_bundle_has_is_refused_before_approvals_are_looked_for(carried, capsys, name):
    forge = Forge.of(carried, "learner")
    forge.sign(name=name)
    told = "a name that no bundle has"
    refused_import(capsys, carried, "provider", forge.bundle, MalformedError, told, hint="ask the sender")


def test_a_bundle_that_a_reset_gives_back_has_its_approvals_with_it(carried, alx):
    site = carried.folder("provider")
    assert carried.take("provider", carried.bundle("learner")) == 0
    shutil.rmtree(carried.disk)
    for times in range(2):
        (site / "ledger.sqlite").unlink()
        assert alx("reset-ledger", "--reason", "a test", "--yes", "--site", site).code == 0
        command = alx("status", "--site", site).out.splitlines()[-1].removeprefix("next: alx ").split()
        assert alx(*command, "--site", site).code == 0, times
        kept = beside(site / "inbox" / outbox(carried).name)
        assert {p.read_bytes() for p in kept.iterdir()} == {p.read_bytes() for p in beside(outbox(carried)).iterdir()}
        assert kept.stat().st_mode & 0o077 == next(kept.iterdir()).stat().st_mode & 0o077 == 0
    agreed = tuple(sorted(fingerprint(k) for k in OFFICERS[:2]))
    assert carried.state("provider").position.accepted[-1].officers == agreed
    assert evidence.site(carried.site("provider")).unnamed == ()
    assert alx("train-local", "--site", site).code == 0


def test_a_disk_that_does_not_give_an_approval_back_is_found_out_and_the_export_is_not_recorded(sealed, capsys, monkeypatch):
    approve(sealed, *OFFICERS[:2])
    really = os.fsync

    def losing(fd):
        really(fd)
        where = Path(f"/proc/self/fd/{fd}").readlink()
        if where.is_relative_to(sealed.disk) and fingerprint(OFFICERS[1]) in where.name:
            where.write_bytes(where.read_bytes()[:8] + b"\0\0\0\0" + where.read_bytes()[12:])

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", losing)
        refused(capsys, export(sealed), CorruptError, "does not give back", fingerprint(OFFICERS[1]), hint="another disk")
    assert sealed.state("learner").position.step == "export"
    assert run(export(sealed)) == 0


def test_an_officer_sees_what_is_signed_and_signs_nothing_unless_he_agrees(sealed, capsys, monkeypatch):
    path = sealed.root / "officer.pem"
    assert run(["key", "officer", str(path)]) == 0
    assert path.stat().st_mode & 0o077 == 0
    assert fingerprint(keys.load_private(path)) in capsys.readouterr().out
    words = ["approve", str(outbox(sealed)), "--key", str(path), "--from", str(sealed.folder("learner") / "public.pem")]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(words) == TrustError.exit_code
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(words) == UsageError.exit_code  # no terminal to ask at
    shown = capsys.readouterr()
    assert sealed.state("learner").position.sealed[-1].digest in shown.out
    assert "--yes answers" in shown.err
    assert not beside(outbox(sealed)).exists()
    refused(capsys, [*words[:-1], str(sealed.folder("provider") / "public.pem"), "--yes"], TrustError, hint="with --from")


def test_a_bundle_named_from_within_is_approved_beside_it(sealed, alx, monkeypatch, tmp_path):
    key, place = tmp_path / "officer.pem", beside(outbox(sealed))
    key.touch(0o600)
    key.write_bytes(keys.private_pem(OFFICERS[0]))
    for where, said in ((outbox(sealed), "."), (next(p for p in outbox(sealed).iterdir() if p.is_dir()), "..")):
        monkeypatch.chdir(where)
        assert alx("approve", said, "--key", key, "--from", sealed.folder("learner") / "public.pem", "--yes").code == 0
        (place / f"{fingerprint(OFFICERS[0])}.json").unlink()


def test_an_approval_is_written_through_no_link(sealed, capsys):
    approve(sealed, OFFICERS[0])
    place, victim = beside(outbox(sealed)), sealed.root / "victim"
    place.rename(victim)
    place.symlink_to(victim)
    (victim / f"{fingerprint(OFFICERS[0])}.json").unlink()
    key, sender = sealed.root / "officer0.pem", sealed.folder("learner") / "public.pem"
    words = ["approve", str(outbox(sealed)), "--key", str(key), "--from", str(sender), "--yes"]
    refused(capsys, words, ForbiddenFileError, "symbolic link", hint="copy the folder")
    assert not list(victim.iterdir())


def test_an_approval_that_is_being_written_stops_no_export(sealed):
    approve(sealed, *OFFICERS[:2])
    for i in range(20):  # of officers who were stopped, say
        (beside(outbox(sealed)) / f".{i:064x}.json.tmp").touch()
    assert run(export(sealed)) == 0
    assert {p.stem for p in beside(sealed.bundle("learner")).iterdir()} == {fingerprint(k) for k in OFFICERS[:2]}


def test_what_got_an_officers_file_name_meanwhile_stays(alx, tmp_path, monkeypatch):
    """While the passphrase was asked for."""
    out = tmp_path / "smith.pem"

    def asked(_):
        out.mkdir()
        (out / "mine").touch()

    monkeypatch.setattr("alx.cli.keys.passphrases.choose", asked)
    done = alx("key", "officer", out, "--passphrase")
    assert (done.code, "File exists" in done.err) == (21, True)
    assert (out / "mine").is_file()


def test_two_officers_at_once_make_one_folder(tmp_path, monkeypatch):
    place, really = tmp_path / "b.approvals", Path.is_dir

    def late(path):
        there = really(path)
        if path == place and not there:  # the other one's
            os.mkdir(place)  # noqa: PTH102 - Path's asks is_dir
        return there

    monkeypatch.setattr(Path, "is_dir", late)
    approval.put(place, [approval.make("0" * 64, OFFICERS[0])])
    assert [p.stem for p in place.iterdir()] == [fingerprint(OFFICERS[0])]


def test_inside_the_site_the_key_of_nobody_in_the_plan_signs_nothing(sealed, capsys, monkeypatch):
    path = sealed.root / "mallory.pem"
    assert run(["key", "officer", str(path)]) == 0
    words = ["approve", str(outbox(sealed)), "--key", str(path), "--yes"]
    refused(capsys, words, UsageError, "no sender's key was named", hint="with --from")
    for inside in (words, [*words, "--from", str(sealed.folder("learner") / "public.pem")]):
        with monkeypatch.context() as patch:
            patch.chdir(sealed.folder("learner"))
            refused(capsys, inside, TrustError, "this is the key", "which is no officer's of the plan", hint="a new plan")
    assert not beside(outbox(sealed)).exists()
    assert (
        run([*words, "--from", str(sealed.folder("learner") / "public.pem")]) == 0
    )  # it stands in no site, and knows no plan
    refused(capsys, export(sealed), TrustError, "which is no officer's of the plan", hint="delete it")


def test_what_the_export_asks_for_can_be_run_as_it_stands_there(sealed, capsys):
    told = refused(capsys, export(sealed), TrustError, hint="an officer runs alx approve")
    approve(sealed, OFFICERS[0])
    (beside(outbox(sealed)) / f"{fingerprint(OFFICERS[0])}.json").unlink()
    words = (
        told.partition("an officer runs alx ")[2].partition(";")[0].replace("OFFICER.pem", str(sealed.root / "officer0.pem"))
    )
    assert run([*words.split(), "--yes"]) == 0
    assert [p.stem for p in beside(outbox(sealed)).iterdir()] == [fingerprint(OFFICERS[0])]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f'threshold = 2\nkeys = ["{"0" * 64}"]', "the threshold is 2, and the keys named are 1"),
        (f'threshold = 2\nkeys = ["{"0" * 64}", "{"0" * 64}"]', "an officer's key is named twice"),
    ],
)
def test_a_threshold_that_nobody_can_meet_is_no_plan(said, words):
    with pytest.raises(ConfigError, match=words):
        parse(f"{PLAN}[officers.learner]\n{said}\n".encode())


def test_approvals_go_to_each_of_several_disks_and_into_a_backup(sealed):
    approve(sealed, *OFFICERS[1:])
    site, disks = str(sealed.folder("learner")), [sealed.root / "a", sealed.root / "b"]
    for disk in disks:
        disk.mkdir()
    assert run(["backup", str(sealed.root / "backup"), "--site", site]) == 0
    assert run(["restore", str(sealed.root / "backup"), str(sealed.root / "again")]) == 0
    (kept,) = (sealed.root / "again" / "outbox").glob("*.approvals")
    assert {p.stem for p in kept.iterdir()} == {fingerprint(k) for k in OFFICERS[1:]}
    assert run(["export", *map(str, disks), "--site", site]) == 0
    shares = [next(disk.glob("*-of-2")) for disk in disks]
    assert all(len(list(disk.glob("*.approvals/*.json"))) == 2 for disk in disks)
    assert run(["import-and-select", *map(str, shares), "--site", str(sealed.folder("provider"))]) == 0
