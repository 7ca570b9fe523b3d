"""A lost ledger is rebuilt from signed bundles: refused first, then an explicit, recorded reset; and nothing is made up."""

import base64
import contextlib
import json
import shutil
import sqlite3

import pytest

from alx import audit, evidence
from alx.cli.main import run
from alx.errors import CorruptError, LedgerError, MalformedError, TrustError, TurnError, UsageError
from alx.site import events, keyring
from alx.site.entries import Exported
from tests.forge import refused
from tests.killed import history, killed
from tests.steps.test_rotation import accept, rotate
from tests.upkeep.test_backup import back_up, restoring

REASON = "the file was deleted"


def resetting(world, role, *more):
    return ["reset-ledger", "--reason", REASON, "--yes", "--site", str(world.folder(role)), *more]


def lose(world, role):
    (world.folder(role) / "ledger.sqlite").unlink()


def unscored(closed):
    """A closing without what this site measured of it."""
    left_out = ("scored", "held_out", "metrics", "loss_rose")
    return {name: value for name, value in closed.items() if name not in left_out}


def turns(world, role):
    """What the ledger says of the turns, without what is unknown after a reset."""
    known = ("index", "label", "labels", "signed", "samples", "global_loss", "claimed_start", "blend", "round", "digest")
    return [
        (kind, {k: body[k] for k in known} if kind == "selected" else unscored(body) if kind == "closed" else body)
        for kind, body in history(world, role)
        if kind in ("sealed", "accepted", "selected", "closed")
    ]


def finish(world, alx):
    """Play on from wherever both sites are; the selections of the learner."""
    for _ in range(20):
        done = 0
        for role, other in (("learner", "provider"), ("provider", "learner")):
            step = json.loads(alx("status", "--json", "--site", world.folder(role)).out)
            if step["step"] == "train":
                assert alx("train-local", "--site", world.folder(role)).code == 0
            elif step["step"] in ("export", "export-closing"):
                assert alx("export", world.disk, "--site", world.folder(role)).code == 0
            elif step["step"] in ("import", "import-closing"):
                name = f"alx-*-r{step['round']:03d}-{other if step['step'] == 'import' else 'closing'}"
                for bundle in world.disk.glob(name):
                    assert alx("import-and-select", bundle, "--site", world.folder(role)).code == 0
            else:
                done += 1
        if done == 2:
            models = {world.state(role).position.closed.state for role in ("learner", "provider")}
            assert len(models) == 1
            return [body["global_loss"] for kind, body in turns(world, "learner") if kind == "selected"]
    raise AssertionError("the exchange does not end")


@pytest.mark.parametrize("role", ["learner", "provider"])
@pytest.mark.parametrize("at", ["paired", "sent", "answered", "second", "finished", "closed"])
def test_a_lost_ledger_is_refused_then_rebuilt_and_the_exchange_ends_as_it_would_have(stage, alx, capsys, at, role):
    world, whole = stage(at), stage("finished")
    before, last = turns(world, role), world.state(role).position
    lose(world, role)
    refused(capsys, ["status", "--site", str(world.folder(role))], LedgerError, "is missing", hint="alx reset-ledger")
    told = alx(*resetting(world, role))
    assert told.code == 0, told.err
    after = turns(world, role)
    entries = history(world, role)
    assert [kind for kind, _ in entries][:3] == ["created", "reset", "paired"]
    assert (entries[1][1]["reason"], entries[1][1]["rebuilt"]) == (REASON, len(entries))
    if last.step in ("train", "export-closing", "done") and last.accepted and (role, at) != ("learner", "closed"):
        # imported, and not answered yet
        assert after == before[:-2]
        where = world.folder(role) / "returned" / last.accepted[-1].bundle
        assert f"next: alx import-and-select {where}" in told.out
        assert alx("import-and-select", where, "--site", world.folder(role)).code == 0
        assert turns(world, role) == before
    else:
        assert after == before
        assert entries[1][1]["import_again"] is None
    report = audit.site(world.site(role))
    assert [e.line.kind for e in report.events].count("reset") == 1
    assert finish(world, alx) == [b["global_loss"] for kind, b in turns(whole, "learner") if kind == "selected"]


def test_what_was_never_signed_is_unknown_and_every_command_bears_it(stage, alx):
    world = stage("second")
    learner = world.folder("learner")
    lose(world, "learner")
    assert alx(*resetting(world, "learner")).code == 0
    selected = world.state("learner").position.selected[-1]
    assert selected.own is selected.held_out is selected.flags.loss_rose is None
    assert selected.flags.start_sent is True
    again = alx("import-and-select", world.bundle("provider"), "--site", learner)
    assert "already imported" in again.out
    assert "unknown" in again.out
    best = alx("best", world.root / "best.safetensors", "--json", "--site", learner)
    assert json.loads(best.out)["held_out"] is None
    for command in (("status",), ("status", "--json")):
        assert alx(*command, "--site", learner).code == 0
    told = alx("audit", learner)
    assert "because 'the file was deleted': the ledger" in told.out
    assert alx("audit", learner, "--json").code == 0


def test_a_good_ledger_is_not_reset(stage, capsys):
    world = stage("sent")
    before = history(world, "learner")
    refused(capsys, resetting(world, "learner"), TurnError, "the ledger is good", hint="alx status")
    assert history(world, "learner") == before


def test_a_broken_and_an_old_ledger_are_rebuilt_and_kept_aside(stage, alx):
    world, older = stage("second"), stage("paired")
    path = world.folder("learner") / "ledger.sqlite"
    told = turns(world, "learner")
    data = bytearray(path.read_bytes())
    place = data.index(b'"round"')
    data[place + 1] ^= 1
    old = (older.folder("learner") / "ledger.sqlite").read_bytes()
    kept = {"": bytes(data), "-2": b"", "-3": b"x" * 5000, "-4": old}
    for bad in kept.values():
        path.write_bytes(bad)
        assert alx("train-local", "--site", world.folder("learner")).code == LedgerError.exit_code
        assert alx(*resetting(world, "learner")).code == 0
        assert turns(world, "learner") == told
    assert {n: (world.folder("learner") / f"ledger.lost{n}.sqlite").read_bytes() for n in kept} == kept
    audit.site(world.site("learner"))


def test_a_lost_event_log_is_begun_anew_and_the_ledger_stays(stage, alx):
    world = stage("second")
    before = history(world, "learner")
    (world.folder("learner") / "events.sqlite").write_bytes(b"junk")
    assert alx("train-local", "--site", world.folder("learner")).code == LedgerError.exit_code
    assert alx(*resetting(world, "learner")).code == 0
    assert history(world, "learner")[:-1] == before
    assert history(world, "learner")[-1][0] == "reset"
    assert alx(*resetting(world, "learner")).code == 0  # once is enough
    assert len(audit.site(world.site("learner")).events) == len(before) + 1
    lose(world, "learner")
    (world.folder("learner") / "events.sqlite").unlink()
    assert alx(*resetting(world, "learner")).code == 0
    audit.site(world.site("learner"))


def test_when_it_happened_nobody_knows_after_the_event_log_was_lost_and_no_receipt_says_it(stage, alx):
    world = stage("answered")
    provider, given = world.folder("provider"), world.root / "receipt.json"
    (provider / "events.sqlite").unlink()
    told = alx(*resetting(world, "provider")).out
    assert "2 bundles verified" in told
    assert "reset: a new event log begins, and says so; what was refused before, and all times, are unknown" in told
    assert "own past losses" not in told
    assert [e.by_reset for e in events.read(provider / "events.sqlite")] == [True] * 6 + [False]
    assert alx("receipt", "-o", given, "--site", provider).code == 0
    assert json.loads(base64.b64decode(json.loads(given.read_bytes())["payload"]))["predicate"]["accepted"] is None
    status = alx("status", "--site", provider).out
    assert "handed over: the bundle of round 1; not known to be received yet" in status
    assert alx("export", world.disk, "--site", provider).code == 0  # what is done since has its time
    out = [p for p in evidence.site(world.site("provider")).past if isinstance(p.record, Exported)]
    assert [(p.at is None, p.rebuilt) for p in out] == [(True, False), (False, False)]
    assert alx("audit", provider).out.splitlines()[0].endswith(": good")
    (provider / "events.sqlite").unlink()
    assert alx(*resetting(world, "provider")).code == 0
    assert [e.by_reset for e in events.read(provider / "events.sqlite")] == [True] * 8 + [False]


def test_a_bundle_imported_and_not_answered_yet_is_counted_with_those_that_were_verified(stage, alx):
    world = stage("closed")
    (world.folder("provider") / "events.sqlite").unlink()
    assert "5 bundles verified" in alx(*resetting(world, "provider")).out


def test_what_holds_of_a_broken_event_log_is_kept_aside_wherever_its_reset_is_killed(stage, tmp_path):
    template = stage("paired")
    path = template.folder("learner") / "events.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as log:
        log.executescript("DROP TRIGGER no_update; UPDATE entries SET body = '{}' WHERE number = 2")
    held, _ = events.sound(path)
    assert len(held) == 1
    command = ("reset-ledger", "--reason", REASON, "--yes", "--site", "{}/learner")
    worlds = killed(template, tmp_path / "killed", *command, every=3)
    assert len(worlds) > 3
    for what, world in worlds:
        assert run(resetting(world, "learner")) in (0, TurnError.exit_code), what  # or it was done already
        folder = world.folder("learner")
        assert [events.sound(p)[0] for p in folder.glob("events.lost*")] == [held], what
        assert not list(folder.glob("events.new*")), what
        audit.site(world.site("learner"))


def test_bundles_that_do_not_prove_the_history_rebuild_nothing(stage, capsys):
    world = stage("second")
    folder = world.folder("learner")
    lose(world, "learner")
    first = world.bundle("learner").name
    good = folder / "outbox" / first
    aside = world.root / "aside"

    def nothing(error, *words, more=()):
        refused(capsys, [*resetting(world, "learner"), *more], error, *words)
        assert not (folder / "ledger.sqlite").exists()

    good.rename(aside)
    nothing(LedgerError, "does not follow")
    shutil.copytree(aside, good)
    data = next(good.glob("data/*"))
    data.write_bytes(data.read_bytes()[:-1])
    nothing(CorruptError, data.name)
    shutil.rmtree(good)
    shutil.copytree(aside, good)
    good.rename(folder / "outbox" / "alx-00000000-r001-learner")
    nothing(TrustError, "not a bundle of this exchange")
    (folder / "outbox" / "alx-00000000-r001-learner").rename(good)
    peer = (folder / "peer.json").read_bytes()
    (folder / "peer.json").unlink()
    nothing(CorruptError, "no peer.json")
    (folder / "peer.json").write_bytes(b"{}")
    nothing(MalformedError, "not an identity file")
    (folder / "peer.json").write_bytes(peer)
    refused(capsys, ["reset-ledger", "--reason", " ", "--yes", "--site", str(folder)], UsageError, "reason")
    assert run(resetting(world, "learner")) == 0


def test_without_the_words_compared_nothing_is_reset(stage, alx_process):
    world = stage("sent")
    lose(world, "learner")
    words = world.state("provider").own.words
    told = alx_process("reset-ledger", "--reason", REASON, "--site", world.folder("learner"))  # nobody at the prompt
    assert told.code == 2
    assert words in told.out
    assert not (world.folder("learner") / "ledger.sqlite").exists()


def test_rotations_are_rebuilt_with_the_rest(stage, alx):
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    assert accept(world, "provider", rotate(world, "learner")) == 0
    assert world.take("provider", world.turn("learner")) == 0
    assert accept(world, "learner", rotate(world, "provider")) == 0
    for role in ("learner", "provider"):
        before = world.state(role).keyring
        lose(world, role)
        told = alx(*resetting(world, role))
        assert told.code == 0, told.err
        assert "of its present key" in told.out
        after = world.state(role).keyring
        assert (after.own, after.peer) == (before.own, before.peer)
        assert after.signers.items() <= before.signers.items()
    learner = history(world, "learner")
    kinds = [kind for kind, _ in learner]
    assert kinds.index("rotated") < len(kinds) - 1 - kinds[::-1].index("sealed")
    where = next((world.folder("provider") / keyring.PEER_NAME).parent.glob("returned/*"))
    assert alx("import-and-select", where, "--site", world.folder("provider")).code == 0
    assert len(finish(world, alx)) == 2


def test_an_old_backup_catches_up_from_the_disks_without_a_fork(stage, alx):
    world = stage("answered")
    backup = back_up(world)
    assert world.take("learner", world.bundle("provider")) == 0
    assert world.take("provider", world.turn("learner")) == 0
    told = turns(world, "learner")
    folder = world.folder("learner")
    shutil.rmtree(folder)
    assert run(restoring(world, backup)) == 0
    shutil.copytree(world.bundle("provider"), folder / "inbox" / world.bundle("provider").name)
    shutil.copytree(world.bundle("learner", 2), folder / "outbox" / world.bundle("learner", 2).name)
    lose(world, "learner")
    assert alx(*resetting(world, "learner")).code == 0
    assert turns(world, "learner") == told
    assert len(finish(world, alx)) == 2


def test_shares_of_a_bundle_that_are_put_back_are_not_passed_over(stage, alx, capsys, tmp_path):
    world = stage("sent")
    backup, folder = back_up(stage("paired")), world.folder("learner")
    told, name = turns(world, "learner"), world.bundle("learner").name
    disks = [tmp_path / "a", tmp_path / "b"]
    for disk in disks:
        disk.mkdir()
    assert alx("export", *disks, "--site", folder).code == 0
    shares = [next(disk.glob("alx-*-of-2")) for disk in disks]
    shutil.rmtree(folder)
    assert run(["restore", str(backup), str(folder)]) == 0
    for share in shares:
        shutil.copytree(share, folder / "outbox" / share.name)
    lose(world, "learner")
    hint = f"copy the files of all its shares into one folder '{name}', without share.json"
    refused(capsys, resetting(world, "learner"), UsageError, shares[0].name, "is no bundle by its name", hint=hint)
    for share in shares:
        shutil.copytree(share, folder / "outbox" / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("share.json"))
        shutil.rmtree(folder / "outbox" / share.name)
    (folder / "outbox" / "mine").mkdir()
    refused(capsys, resetting(world, "learner"), UsageError, "mine", hint="give it the name that was signed")
    (folder / "outbox" / "mine").rmdir()
    assert alx(*resetting(world, "learner")).code == 0
    assert turns(world, "learner") == told


def test_a_log_that_is_lost_after_a_reset_of_the_ledger_is_on_record_too(stage, alx):
    world = stage("sent")
    folder = world.folder("learner")
    lose(world, "learner")
    assert alx(*resetting(world, "learner")).code == 0
    (folder / "events.sqlite").unlink()
    done = alx("reset-ledger", "--reason", "the log was stolen", "--yes", "--site", folder)
    assert (done.code, "reset: a new event log begins" in done.out) == (0, True)
    assert world.state("learner").entries[-1].record.reason == "the log was stolen"


def test_a_journal_by_itself_is_no_lost_ledgers(stage, alx):
    world = stage("sent")
    folder = world.folder("learner")
    journal = folder / "ledger.sqlite-journal"
    lose(world, "learner")
    journal.write_bytes(b"of a ledger that a person deleted")
    assert alx(*resetting(world, "learner")).code == 0
    assert not [*folder.glob("ledger.lost*"), *folder.glob("*-journal")]
    (folder / "ledger.sqlite").write_bytes(b"lost" * 300)
    assert alx(*resetting(world, "learner")).code == 0
    assert [p.name for p in folder.glob("ledger.lost*")] == ["ledger.lost.sqlite"]


def test_a_reset_killed_anywhere_goes_on(stage, tmp_path, alx):
    template = stage("finished")
    before = turns(template, "learner")
    lose(template, "learner")
    command = ("reset-ledger", "--reason", REASON, "--yes", "--site", "{}/learner")
    worlds = killed(template, tmp_path / "killed", *command, every=8)
    assert len(worlds) > 3
    for what, world in worlds:
        done = alx(*resetting(world, "learner", "--json"))
        assert done.code == 0, (what, done.err)
        assert json.loads(done.out)["import_again"], what
        where = json.loads(done.out)["import_again"]
        folder = world.folder("learner")
        assert not [p for p in folder.iterdir() if "new" in p.name or p.name.endswith("-journal")], what
        assert alx("import-and-select", where, "--site", folder).code == 0, what
        assert turns(world, "learner") == before, what
        audit.site(world.site("learner"))


def test_a_reset_forgets_nothing_that_the_event_log_knows(stage, capsys):
    """The newest own bundle gone with the ledger: played again, its round would be a fork that the peer might take."""
    world = stage("second")
    shutil.rmtree(next((world.folder("learner") / "outbox").glob("*r002*")))
    lose(world, "learner")
    told = ("the event log says that 'alx-", "r002-learner' was sealed")
    refused(capsys, resetting(world, "learner"), LedgerError, *told, hint="make new sites on both sides")


def test_a_reset_does_not_forget_that_a_key_was_replaced(stage, capsys):
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    rotation = world.disk / "r.json"
    assert run(["key", "rotate", str(rotation), "--site", str(world.folder("learner"))]) == 0
    assert run(["key", "accept", str(rotation), "--yes", "--site", str(world.folder("provider"))]) == 0
    shutil.rmtree(world.folder("provider") / "rotations")
    lose(world, "provider")
    refused(capsys, resetting(world, "provider"), LedgerError, "the peer's key was replaced by", hint="put it back")


def test_a_reset_has_the_guards_of_every_command(stage, capsys, monkeypatch):
    world = stage("sent")
    lose(world, "learner")
    folder = world.folder("learner")
    folder.chmod(0o777)
    refused(capsys, resetting(world, "learner"), TrustError, "others may write", hint="chmod go-w")
    folder.chmod(0o700)
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    command = [a for a in resetting(world, "learner") if a != "--yes"]
    refused(capsys, command, TrustError, "the words were not the same")
    log = events.read(folder / "events.sqlite")
    assert [e.record.command for e in log if e.line.kind == "refused"] == ["reset-ledger"] * 4  # each is tried twice


def test_what_a_reset_wrote_is_marked_as_rebuilt_and_status_names_the_bundle_to_import_again(stage, alx):
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    lose(world, "learner")
    assert alx(*resetting(world, "learner")).code == 0
    told = alx("audit", world.folder("learner")).out
    assert told.splitlines()[0].endswith("its ledger was rebuilt 1 time")
    assert "rebuilt, the time is the reset's: round 1" in told
    (again,) = (world.folder("learner") / "returned").iterdir()
    shutil.copytree(again, world.folder("learner") / "inbox" / again.name)  # as an import leaves it that is killed there
    assert alx("status", "--site", world.folder("learner")).out.endswith(f"next: alx import-and-select {again}\n")
    assert alx("import-and-select", again, "--site", world.folder("learner")).code == 0
    assert alx("status", "--site", world.folder("learner")).out.endswith("next: alx train-local\n")
