"""The peer's receipt says that it accepted a bundle; only one that it signed, of the bundle handed over last, is taken."""

import base64
import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from alx.bundle import dsse, keys, receipt
from alx.cli.main import run
from alx.errors import (
    CorruptError,
    ForbiddenFileError,
    LimitError,
    MalformedError,
    PeerError,
    RollbackError,
    StaleError,
    StorageError,
    TrustError,
    TurnError,
    UsageError,
)
from alx.site import events, ledger
from alx.site.entries import Exported, Given, Received, Sealed
from alx.site.handed_over import of
from alx.steps import receipts
from tests.conftest import make_world
from tests.forge import refused

IN_TOTO = "application/vnd.in-toto+json"
OMS = "https://model_signing/signature/v1.0"  # what a bundle's signature says


def at(world, role):
    return ["--site", str(world.folder(role))]


def beside(world):
    (found,) = world.disk.glob("*-learner.receipt.json")
    return found


def status(world, alx, role="learner"):
    return json.loads(alx("status", "--json", *at(world, role)).out)["handed_over"]


def entries(world, role="learner"):
    return [e.record for e in world.state(role).entries]


def statement(data):
    return json.loads(base64.b64decode(json.loads(data)["payload"]))


def signed(said, key, payload_type=IN_TOTO, also=()):
    """A receipt over any statement, in the form that the format asks for."""
    return dsse.text(dsse.envelope(json.dumps(said, indent=1).encode(), payload_type, key, *also))


def key_of(world, role):
    return keys.load_private(world.folder(role) / "key.pem")


def test_the_next_disk_brings_the_receipt_and_the_import_reads_it(stage, alx):
    world = stage("answered")
    sealed = world.state("learner").position.sealed[-1]
    data = beside(world).read_bytes()
    outer = json.loads(data)
    payload = base64.b64decode(outer["payload"])
    # without alx: DSSE's pre-authentication encoding, ECDSA with SHA-256
    message = b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
    key = world.state("provider").public_key
    key.key.verify(base64.b64decode(outer["signatures"][0]["sig"]), message, ec.ECDSA(hashes.SHA256()))
    said = json.loads(payload)
    assert said["subject"] == [{"name": sealed.bundle, "digest": {"sha256": sealed.digest}}]
    assert said["predicate"]["plan"] == world.site("learner").plan_file.digest
    assert said["predicate"]["by"] is None
    assert status(world, alx)["receipt"] is None
    assert "not known to be received yet" in alx("status", *at(world, "learner")).out

    command = ["import-and-select", world.bundle("provider"), *at(world, "learner")]
    done = alx(*command)
    assert done.code == 0
    assert f"the receipt beside it: '{sealed.bundle}' was received" in done.out
    (made,) = (r for r in entries(world) if isinstance(r, Received))
    accepted = said["predicate"]["accepted"]
    assert made == Received(1, sealed.bundle, sealed.digest, key.fingerprint, made.receipt, accepted, None)
    assert status(world, alx)["receipt"]["digest"] == sealed.digest
    assert f"received {accepted[:10]}, as the peer's receipt says" in alx("status", *at(world, "learner")).out
    report = json.loads(alx("report", world.folder("learner"), "--json").out)
    parts = {p["title"]: p for c in report["clusters"] for p in c["parts"]}
    (table,) = parts["Handed over, and received"]["tables"]
    assert [row[0] for row in table["rows"]] == [sealed.bundle]
    assert table["rows"][0][2:] == [
        None,
        f"received {accepted[:10]}, as the peer's receipt says",
        accepted,
        None,
        key.fingerprint,
    ]
    assert sum("the peer's receipt was read" in line for line in report["story"]) == 1
    before = world.fingerprint("learner")
    again = alx(*command, "--json")
    assert json.loads(again.out)["receipt"]["receipt"] == made.receipt
    assert world.fingerprint("learner") == before


def test_a_receipt_by_hand_names_who_took_the_disk_and_is_read_once(stage, alx, tmp_path):
    world, file = stage("answered"), tmp_path / "r.json"
    assert alx("receipt", "-o", file, "--by", "Ada Ł., radiology", *at(world, "provider")).code == 0
    assert statement(file.read_bytes())["predicate"]["by"] == "Ada Ł., radiology"
    assert alx("receipt", "-o", file, *at(world, "provider")).code == 0  # it replaces its own kind
    assert statement(file.read_bytes())["predicate"]["by"] is None
    assert alx("receipt", "-o", file, "--by", "Ada", *at(world, "provider"), "--json").code == 0
    assert "by 'Ada'" in alx("receipt", "--read", file, *at(world, "learner")).out
    before = world.fingerprint("learner")
    assert "read already; nothing changed" in alx("receipt", "--read", file, *at(world, "learner")).out
    told = alx("receipt", "--read", world.disk, *at(world, "learner")).out  # another one, without a name
    assert re.search(r"(?m)^this is another receipt of it: accepted [0-9: -]+ UTC; the one that was read first counts", told)
    other = json.loads(alx("receipt", "--read", world.disk, *at(world, "learner"), "--json").out)["other"]
    assert other == statement(beside(world).read_bytes())["predicate"]
    assert world.fingerprint("learner") == before
    assert ", by 'Ada'" in alx("audit", world.folder("learner")).out
    given = [e.record for e in events.read(world.folder("provider") / "events.sqlite") if isinstance(e.record, Given)]
    assert [(g.file, g.by) for g in given] == [
        (beside(world).name, None),
        ("r.json", "Ada Ł., radiology"),
        ("r.json", None),
        ("r.json", "Ada"),
    ]
    left = "receipts of 1 bundle of the peer's, with both keys, and the time at which each was accepted, and 2 names: "
    assert f"{left}'Ada Ł., radiology', 'Ada'" in alx("audit", world.folder("provider")).out
    report = json.loads(alx("report", world.folder("provider"), "--json").out)
    assert f"Beside its bundles left {left}'Ada Ł., radiology', 'Ada'." in " ".join(report["words"])
    tables = [t for c in report["clusters"] for p in c["parts"] for t in p["tables"]]
    (table,) = (t for t in tables if t["caption"] == "Every receipt of this site's that was written for the peer")
    assert [(row[2], row[4]) for row in table["rows"]] == [(g.file, g.by) for g in given]


def test_who_imported_stands_in_the_receipt_that_the_next_disk_brings(stage, alx):
    world = stage("sent")
    command = ["import-and-select", world.bundle("learner"), "--by", "Grace", *at(world, "provider")]
    assert alx(*command).code == 0
    world.turn("provider")
    assert statement(beside(world).read_bytes())["predicate"]["by"] == "Grace"


def test_a_receipt_that_is_not_the_peers_of_the_bundle_handed_over_last_is_refused(stage, capsys, tmp_path):
    world = stage("answered")
    good, provider, learner = beside(world).read_bytes(), key_of(world, "provider"), key_of(world, "learner")
    said = statement(good)

    def changed(**fields):
        return said | {"predicate": said["predicate"] | fields}

    def other(**fields):
        return said | {"subject": [said["subject"][0] | fields]}

    side = said["predicate"]["sender"]
    cases = [
        (signed(said, learner), PeerError, "this site's own"),
        (signed(said, keys.generate()), TrustError, "signed with the key"),
        (good.replace(b'"sig": "M', b'"sig": "N'), TrustError, "does not verify"),
        (signed(changed(plan="0" * 64), provider), PeerError, "plan"),
        (signed(changed(sender=side | {"role": "provider"}), provider), PeerError, "sender's role"),
        (signed(changed(receiver=said["predicate"]["receiver"] | {"role": "learner"}), provider), PeerError, "receiver's"),
        (signed(changed(receiver=side | {"role": "provider"}), provider), MalformedError, "names the receiver's key"),
        (signed(changed(sender=side | {"key": "0" * 64}), provider), MalformedError, "of another bundle"),
        (signed(changed(round=2), provider), MalformedError, "of another bundle"),
        (signed(other(digest={"sha256": "0" * 64}), provider), StaleError, "never sealed"),
        (signed(other(name="alx-00000000-r001-learner"), provider), MalformedError, "of another bundle"),
        (signed(other(name="../alx"), provider), MalformedError, "name"),
        (signed(changed(accepted="yesterday"), provider), MalformedError, "accepted"),
        (signed(changed(by="a\x1b[2J"), provider), MalformedError, "do not print"),
        (signed(changed(by=""), provider), MalformedError, "by"),
        (signed(changed(note="hello"), provider), MalformedError, "note"),
        (signed(said | {"predicateType": OMS}, provider), MalformedError, "predicateType"),
        (signed(said, provider, "application/vnd.alx.approval+json"), MalformedError, "payloadType"),
        (signed(said, provider, also=(learner,)), MalformedError, "more than one signature"),
        (good.replace(b"\n", b"\n "), MalformedError, "not written"),
        (signed({**said, "subject": said["subject"] * 2}, provider), MalformedError, "subject"),
        (good + b" " * receipt.MAX_RECEIPT_BYTES, LimitError, "has 4097 or more bytes, and may have 4096"),
        (b"", MalformedError, "JSON"),
        (b"\xff", MalformedError, "UTF-8"),
        ((world.bundle("learner") / "round.sig").read_bytes(), MalformedError, "not a receipt"),
    ]
    file, before = tmp_path / "r.json", world.fingerprint("learner")
    for data, error, word in cases:
        file.write_bytes(data)
        refused(capsys, ["receipt", "--read", str(file), *at(world, "learner")], error, word)
    (tmp_path / "link").symlink_to(beside(world))
    refused(capsys, ["receipt", "--read", str(tmp_path / "link"), *at(world, "learner")], ForbiddenFileError, "link")
    words = ["receipt", "--read", str(tmp_path / "none"), *at(world, "learner")]
    refused(capsys, words, UsageError, "no file", hint="is the name right")
    words = ["receipt", "--read", str(world.folder("learner")), *at(world, "learner")]
    refused(capsys, words, UsageError, f"there is no receipt '{beside(world).name}' in", hint="the peer's next export")
    refused(capsys, ["receipt", "--read", str(file), "--by", "x", *at(world, "learner")], UsageError, "--by")
    refused(capsys, ["receipt", "--by", "x\n", "-o", str(file), *at(world, "provider")], UsageError, "do not print")
    refused(capsys, ["receipt", "-o", str(tmp_path / "new"), *at(world, "learner")], TurnError, "nothing was accepted yet")
    assert world.fingerprint("learner") == before
    words = ["receipt", "--read", str(beside(world)), *at(stage("paired"), "learner")]
    refused(capsys, words, StaleError, "never sealed")
    words = ["receipt", "--read", str(beside(world)), *at(make_world(tmp_path / "new"), "learner")]
    refused(capsys, words, TurnError, "no peer yet")


def test_an_old_receipt_and_one_of_a_bundle_that_never_left_are_refused(stage, capsys):
    world = stage("second")  # the learner has handed over round 2
    before = world.fingerprint("learner")
    refused(capsys, ["receipt", "--read", str(beside(world)), *at(world, "learner")], RollbackError, "answered since")
    assert world.fingerprint("learner") == before

    world = stage("answered")  # the outbox of round 1 was copied by hand
    now = world.state("learner")
    (world.folder("learner") / "ledger.sqlite").unlink()
    (world.folder("learner") / "events.sqlite").unlink()
    kept = ledger.create(
        world.site("learner").ledger_path, *(e.record for e in now.entries if not isinstance(e.record, Exported))
    )
    events.create(world.site("learner").events_path, kept)
    words = ["receipt", "--read", str(beside(world)), *at(world, "learner")]
    refused(capsys, words, TurnError, "never handed over", hint="alx export")
    refused(capsys, ["receipt", "--read", str(world.disk), *at(world, "learner")], TurnError, "nothing was handed over")


@pytest.mark.parametrize("bad", ["other", "link", "folder"])
def test_a_bad_receipt_beside_a_good_bundle_is_a_look_and_no_refusal(stage, alx, bad):
    world = stage("answered")
    path = beside(world)
    data = path.read_bytes()
    path.unlink()
    if bad == "other":
        path.write_bytes(signed(statement(data), keys.generate()))
    elif bad == "link":
        path.symlink_to(world.disk / "learner.json")
    else:
        path.mkdir()
    done = alx("import-and-select", world.bundle("provider"), *at(world, "learner"))
    assert done.code == 0
    assert "LOOK: the receipt beside it was not taken" in done.out
    assert not [r for r in entries(world) if isinstance(r, Received)]
    told = alx("status", *at(world, "learner")).out
    assert re.search(r"received: the peer's bundle of round 1, imported \d{4}-\d\d-\d\d, answers it", told)
    assert "refused      receipt --read '" in alx("audit", world.folder("learner")).out


def test_killed_between_the_file_and_the_ledger_the_same_command_goes_on(stage, alx):
    world = stage("answered")
    kept = world.folder("learner") / "receipts" / beside(world).name
    kept.parent.mkdir()
    kept.write_bytes(beside(world).read_bytes()[:100])  # as no kill leaves it, and worse
    assert alx("receipt", "--read", world.disk, *at(world, "learner")).code == 0
    assert kept.read_bytes() == beside(world).read_bytes()
    assert alx("audit", world.folder("learner")).code == 0
    kept.unlink()
    assert alx("audit", world.folder("learner")).code == CorruptError.exit_code
    assert alx("report", world.folder("learner"), "--json").code == CorruptError.exit_code


def test_a_rebuilt_ledger_does_not_know_when_a_bundle_was_accepted(stage, alx, tmp_path):
    world = stage("answered")
    (world.folder("provider") / "ledger.sqlite").unlink()
    assert alx("reset-ledger", "--reason", "lost", "--yes", *at(world, "provider")).code == 0
    assert alx("receipt", "-o", tmp_path / "r.json", *at(world, "provider")).code == 0
    assert statement((tmp_path / "r.json").read_bytes())["predicate"]["accepted"] is None
    assert alx("receipt", "--read", tmp_path / "r.json", *at(world, "learner")).code == 0
    assert "received, as the peer's receipt says" in alx("status", *at(world, "learner")).out


def test_a_rebuilt_ledger_does_not_know_that_the_closing_left_until_it_leaves_once_more(stage, alx, tmp_path, capsys):
    world, file = stage("closed"), tmp_path / "r.json"
    assert alx("receipt", "-o", file, *at(world, "provider")).code == 0
    (world.folder("learner") / "ledger.sqlite").unlink()
    assert alx("reset-ledger", "--reason", "lost", "--yes", *at(world, "learner")).code == 0
    read = ["receipt", "--read", str(file), *at(world, "learner")]
    refused(capsys, read, TurnError, "which was rebuilt, does not know that it left", hint="alx export once more")
    assert alx("export", world.disk, *at(world, "learner")).code == 0
    assert alx(*read).code == 0


def test_after_the_peer_replaced_its_key_a_new_receipt_is_asked_for(stage, alx, capsys):
    world = stage("sent")
    assert world.take("provider", world.bundle("learner")) == 0
    old, new, rotation = (world.root / f"{name}.json" for name in ("old", "new", "rotation"))
    assert alx("receipt", "-o", old, *at(world, "provider")).code == 0
    left = (
        "what left this site: no bundle yet; and receipts of 1 bundle of the peer's, with both keys, and the time at which"
    )
    assert left in alx("audit", world.folder("provider")).out
    assert alx("key", "rotate", rotation, *at(world, "provider")).code == 0
    assert alx("key", "accept", rotation, "--yes", *at(world, "learner")).code == 0
    refused(capsys, ["receipt", "--read", str(old), *at(world, "learner")], TrustError, "which the peer has replaced")
    assert alx("receipt", "-o", new, *at(world, "provider")).code == 0
    assert alx("receipt", "--read", new, *at(world, "learner")).code == 0


def test_a_closing_that_did_not_leave_closes_nothing(stage, alx):
    world = stage("finished")
    provider = world.state("provider").position.sealed[-1]
    (world.disk / f"{provider.bundle.removesuffix('provider')}closing").symlink_to(world.disk)
    assert alx("export", world.disk, *at(world, "learner")).code == ForbiddenFileError.exit_code
    report = json.loads(alx("report", world.folder("learner"), "--json").out)
    assert "The closing is sealed and was not handed over yet" in " ".join(report["words"])
    assert re.match(r"2\d{3}-.*: the closing names what both end with, once it is imported", report["story"][-1])
    assert "the closing is sealed; once it is imported, both have" in alx("status", *at(world, "learner")).out


def test_the_closing_is_received_by_a_receipt_alone(stage, alx, tmp_path):
    world = stage("closed")
    told = alx("status", *at(world, "learner")).out
    assert "handed over: the closing after round 2" in told
    assert "done: the closing was handed over; once it is imported, both have" in told
    report = json.loads(alx("report", world.folder("learner"), "--json").out)
    assert "The closing was handed over; once the provider has imported it" in " ".join(report["words"])
    assert status(world, alx)["receipt"] is None
    assert status(world, alx)["answered_by"] is None
    owed = "no disk follows: alx receipt -o FILE tells the learner that its closing came"
    assert f"{owed}; send it as you like\nnext: alx best" in alx("status", *at(world, "provider")).out
    assert alx("receipt", "-o", tmp_path / "r.json", *at(world, "provider")).code == 0
    assert owed not in alx("status", *at(world, "provider")).out
    assert alx("receipt", "--read", tmp_path / "r.json", *at(world, "learner")).code == 0
    assert status(world, alx)["receipt"]["bundle"].endswith("-r002-closing")
    assert "done: both sides have" in alx("status", *at(world, "learner")).out
    report = json.loads(alx("report", world.folder("learner"), "--json").out)
    assert "The exchange is closed: both sides end with" in " ".join(report["words"])
    assert status(world, alx, "provider")["answered_by"].endswith("-closing")  # what the disk brought told already


def test_a_receipt_replaces_whatever_has_its_name_on_the_disk_and_follows_no_link(stage, alx):
    world = stage("answered")
    path, data = beside(world), beside(world).read_bytes()
    victim = world.root / "victim"
    victim.write_text("mine")
    begun = path.with_name(f".{path.name}.tmp")
    for put in (lambda: path.symlink_to(victim), path.mkdir, lambda: os.mkfifo(path), begun.mkdir):
        path.unlink() if not path.is_dir() else path.rmdir()
        put()
        done = alx("export", world.disk, *at(world, "provider"))
        assert f"'{path.name}': the receipt of the peer's last bundle" in done.out
        assert path.read_bytes() == data
    assert json.loads(alx("export", world.disk, *at(world, "provider"), "--json").out)["receipt"] == str(path)
    assert victim.read_text() == "mine"
    (world.folder("provider") / "receipts" / path.name).write_bytes(data[:-1])  # damaged: it does not leave
    assert json.loads(alx("export", world.disk, *at(world, "provider"), "--json").out)["receipt"] is None
    shutil.rmtree(world.folder("provider") / "receipts")  # of a bundle that was sealed before there were any
    assert json.loads(alx("export", world.disk, *at(world, "provider"), "--json").out)["receipt"] is None


def test_a_receipt_that_the_disk_does_not_give_back_stops_the_export(stage, capsys, monkeypatch):
    world = stage("answered")
    words, really = ["export", str(world.disk), *at(world, "provider")], os.fsync

    def losing(fd):
        really(fd)
        where = Path(f"/proc/self/fd/{fd}").readlink()
        if where.name.endswith(".receipt.json.tmp"):
            where.write_bytes(where.read_bytes()[:-8])

    before = entries(world, "provider")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", losing)
        refused(capsys, words, CorruptError, "does not give back", beside(world).name, hint="another disk")
    assert entries(world, "provider") == before
    assert run(words) == 0


def test_of_several_disks_a_good_receipt_on_any_is_read(stage):
    world = stage("answered")
    second = world.root / "disk2"
    second.mkdir()
    shutil.copy(beside(world), second)
    beside(world).write_bytes(b"{}")
    places = [world.bundle("provider"), second / world.bundle("provider").name]
    with world.site("learner").locked("import-and-select") as now:
        (came, why), again = receipts.beside(now, places), receipts.beside(now, places[:1])
    assert came is not None
    assert why is None
    assert again[0] is None
    assert isinstance(again[1], MalformedError)


@pytest.mark.parametrize("stopped", ["fsync", "rename"])
def test_a_receipt_that_was_not_written_is_still_owed(stage, alx, tmp_path, monkeypatch, stopped):
    world, file = stage("closed"), tmp_path / "r.json"
    owed = "no disk follows: alx receipt -o FILE"
    really = os.fsync

    def failing(fd):
        if Path(f"/proc/self/fd/{fd}").readlink().name == ".r.json.tmp":
            raise OSError(errno.EIO, "failing")
        really(fd)

    def refusing(path, _target):
        raise OSError(errno.EIO, f"{path} cannot be renamed")

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync", failing) if stopped == "fsync" else (Path, "replace", refusing)))
        assert alx("receipt", "-o", file, *at(world, "provider")).code == StorageError.exit_code
    assert not file.exists()
    assert owed in alx("status", *at(world, "provider")).out
    log = [e.record for e in events.read(world.folder("provider") / "events.sqlite")]
    assert any(isinstance(e, Given) and e.file == "r.json" for e in log) == (stopped == "rename")
    assert alx("receipt", "-o", file, *at(world, "provider")).code == 0
    assert owed not in alx("status", *at(world, "provider")).out


def test_a_receipt_that_was_written_is_not_owed_again_after_a_refusal_of_another_try(stage, alx, tmp_path):
    world, file, mine = stage("closed"), tmp_path / "r.json", tmp_path / "mine.json"
    mine.write_text("mine")
    for words, command, error in (
        (["-o", mine], "receipt", UsageError),
        (["-o", tmp_path / ("o" * 251)], "receipt", StorageError),  # its name is too long while it is made
        (["--read", file], "receipt --read", PeerError),  # its own
    ):
        assert alx("receipt", "-o", file, *at(world, "provider")).code == 0
        assert alx("receipt", *words, *at(world, "provider")).code == error.exit_code
        last = events.read(world.folder("provider") / "events.sqlite")[-1].record
        assert (last.command, last.error) == (command, error.__name__)
        assert "no disk follows: alx receipt -o FILE" not in alx("status", *at(world, "provider")).out


def test_what_was_exported_in_part_alone_was_not_handed_over():
    turn = Sealed(1, 1, "b", "d", None, None)
    part = Exported(1, "b", "d", request="r", files=1, names=("f",))
    assert of([(turn, None), (part, "t")]) == []
    (whole,) = of([(turn, None), (Exported(1, "b", "d"), "t")])
    assert (whole.at, whole.again, whole.receipt, whole.answer) == ("t", (), None, None)
    (twice,) = of([(turn, None), (Exported(1, "b", "d"), "t"), (Exported(1, "b", "d"), "u")])
    assert (twice.at, twice.again) == ("t", ("u",))
    assert receipts.receipt.name("b") == "b.receipt.json"
