"""The order of the exchange, the site's own memory, and two commands at once."""

import fcntl
import re
import shutil
import sqlite3

import numpy as np
import pytest

from alx.errors import (
    ConfigError,
    DivergedError,
    GapError,
    LedgerError,
    LockedError,
    MalformedError,
    PeerError,
    StaleError,
    StorageError,
    TrustError,
    TurnError,
    UsageError,
)
from tests import forge
from tests.conftest import PLAN, make_world, pair_world
from tests.forge import Forge, command, refused, refused_import


def test_the_same_bundle_again_changes_nothing(stage, alx):
    world = stage("answered")
    before = world.fingerprint("provider")
    done = alx(*command(world, "provider", world.bundle("learner")))
    assert (done.code, "already imported; nothing changed" in done.out) == (0, True)
    assert world.fingerprint("provider") == before


def test_a_round_before_the_first_one_expected_is_a_rollback(stage, capsys):
    """Round 1's reply left out of the ledger by an old backup of the provider: the learner is at round 2."""
    world = stage("second")
    old = stage("sent")
    for name in ("ledger.sqlite", "events.sqlite"):
        shutil.copy(old.folder("provider") / name, world.folder("provider"))
    refused_import(capsys, world, "provider", world.bundle("learner", 2), GapError, "round 2", "expected that of round 1")


def test_a_later_round_is_a_gap_and_both_rounds_are_named(stage, capsys):
    world, later = stage("sent"), stage("second")
    for role in ("provider",):  # the same keys: both are copies of one exchange
        refused_import(
            capsys,
            world,
            role,
            later.bundle("learner", 2),
            GapError,
            "round 2",
            "expected that of round 1",
            hint="next: alx",
        )


def test_a_site_restored_from_an_old_backup_notices(stage, capsys):
    """The learner's ledger has forgotten its own round 1: the reply answers something it never sealed."""
    world = stage("answered")
    old = stage("paired").folder("learner")
    for name in ("ledger.sqlite", "events.sqlite"):
        shutil.copy(old / name, world.folder("learner"))
    refused_import(capsys, world, "learner", world.bundle("provider"), StaleError, "does not answer", hint="old backup")


def test_a_bundle_of_another_pair_is_refused(stage, capsys, tmp_path):
    world = stage("sent")
    other = pair_world(make_world(tmp_path / "other"))
    bundle = other.turn("learner")
    refused_import(capsys, world, "provider", bundle, TrustError, "signed with the key", hint="pinned peer")


def test_a_reply_that_did_not_start_where_it_says_is_flagged(stage, alx):
    world = stage("answered")
    forged = Forge.of(world, "provider")
    forged.edit(lambda m: m["start"].update(candidate=0 if m["start"]["candidate"] else 1))
    done = alx(*command(world, "learner", forged.bundle))
    assert done.code == 0
    assert "LOOK: the sender's t=0 is not the snapshot" in done.out
    body = world.state("learner").position.selected[-1]
    assert (body.flags.start_sent, body.flags.start_loss_true) == (False, True)  # the loss adds up, the model is another


def test_a_claimed_start_that_is_too_low_is_seen(stage, alx):
    world = stage("answered")
    forged = Forge.of(world, "provider")
    forged.edit(lambda m: m["start"].update(candidate=0 if m["start"]["candidate"] else 1, global_loss=1.0))
    done = alx(*command(world, "learner", forged.bundle))
    assert re.search(
        r"LOOK: the sender says it began at a global loss of 0.01 a sample, and its t=0 has [\d.]+ here", done.out
    )
    body = world.state("learner").position.selected[-1]
    assert (body.flags.start_sent, body.flags.start_loss_true) == (False, False)


def test_a_reply_that_started_beyond_what_was_sent_is_flagged(stage, alx):
    world = stage("answered")
    forged = Forge.of(world, "provider")
    forged.edit(lambda m: m["start"].update(candidate=4000))
    assert "LOOK: the sender's t=0" in alx(*command(world, "learner", forged.bundle)).out


def test_a_claimed_global_loss_that_rose_is_flagged(stage, alx):
    world = stage("second")
    forged = Forge.of(world, "learner", 2)
    forged.edit(lambda m: m["start"].update(global_loss=1e6))
    done = alx(*command(world, "provider", forged.bundle))
    assert (done.code, "LOOK: the global loss rose" in done.out) == (0, True)
    assert world.state("provider").position.selected[-1].flags.loss_rose is True
    assert "LOOK: the loss rose" in alx("audit", world.folder("provider")).out


def test_a_claim_too_good_to_be_true_is_chosen_and_shown(stage, alx):
    """A lie cannot be proved; that it decided, and what it cost on this side, can be seen."""
    world = stage("answered")
    forged = Forge.of(world, "provider")
    honest = stage("answered")
    assert honest.take("learner", honest.bundle("provider")) == 0
    good = honest.state("learner").position.selected[-1]
    assert (good.flags.claim_low, good.label, good.blend_true) == (False, "t=7", None)
    forged.edit(lambda m: [c.update(loss=500.0) for c in m["candidates"]] and m["candidates"][-1].update(loss=0.0))
    done = alx(*command(world, "learner", forged.bundle))
    assert done.code == 0
    body = world.state("learner").position.selected[-1]
    last, least = body.label, body.own_least
    assert (body.flags.claim_low, body.flags.by_claim) == (True, True)
    assert least == int(np.argmin([x if x is not None else np.inf for x in body.own])) != body.index
    own = body.own
    assert "LOOK: the sender says that its own loss is 0.000 there, far below" in done.out
    more = own[body.index] - own[least]
    assert f"LOOK: by our own loss alone {body.labels[least]} would have been chosen of what was " in done.out
    assert f"at {last}, {more:.3f} more" in done.out
    told = alx("audit", world.folder("learner")).out
    assert "LOOK: the sender's claim is too good" in told
    assert "LOOK: by own loss alone another would have been chosen" in told


def test_an_own_loss_and_a_score_that_got_worse_since_the_last_selection_are_shown(stage, alx):
    world = stage("second")
    assert world.take("provider", world.bundle("learner", 2)) == 0
    forged = Forge(world.turn("provider"), Forge.of(world, "provider", 1).key)

    first = next(a for t, a, _ in forged.layout.spans() if t.name == "4.bias")
    one_class = np.zeros(forged.layout.nbytes // 4, "<f4")
    one_class[first // 4 + 2] = 9  # the rarest class, whatever it is shown
    forged.restate(lambda flats: flats.__setitem__(1, bytearray(one_class.tobytes())))
    forged.edit(lambda m: [c.update(loss=1e5 * (i != 1)) for i, c in enumerate(m["candidates"])])
    before = world.state("learner").position.selected[-1]
    done = alx(*command(world, "learner", forged.bundle))
    body = world.state("learner").position.selected[-1]
    assert (body.index, body.flags.own_rose, body.flags.score_fell) == (1, True, True)
    was = before.own[before.index]
    assert f"LOOK: our own loss got worse since the last selection, from {was:.3f} to {body.own[1]:.3f}" in done.out
    assert f"LOOK: the held-out score got worse since the last selection, from {before.held_out:.4f} to " in done.out


# --- the site's own memory


def forget(path):
    path.unlink()


def emptied(path):
    path.write_bytes(b"")


def scribbled(path):
    path.write_bytes(b"no database at all, but long enough to be looked at as one" * 20)


def edited(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET body = replace(body, '\"round\": 1', '\"round\": 2') WHERE kind = 'sealed'")
    connection.close()


def cut_out(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER no_delete")
        connection.execute("DELETE FROM entries WHERE number = 2")
    connection.close()


@pytest.mark.parametrize("harm", [forget, emptied, scribbled, edited, cut_out])
def test_a_ledger_is_not_trusted_after_it_was(stage, capsys, harm):
    world = stage("answered")
    path = world.folder("learner") / "ledger.sqlite"
    harm(path)
    site = ["--site", str(world.folder("learner"))]
    before = path.read_bytes() if path.exists() else None
    for arguments in (
        command(world, "learner", world.bundle("provider")),
        ["status", *site],
        ["train-local", *site],
        ["export", str(world.disk), *site],
        ["audit", str(world.folder("learner"))],
    ):
        refused(capsys, arguments, LedgerError, hint="restore the whole site")
    assert (path.read_bytes() if path.exists() else None) == before


def test_the_ledger_itself_refuses_changes(stage):
    connection = sqlite3.connect(stage("sent").folder("learner") / "ledger.sqlite")
    for statement in ("DELETE FROM entries", "UPDATE entries SET kind = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
    connection.close()


def test_a_pinned_peer_that_was_exchanged_is_refused(stage, capsys):
    world = stage("sent")
    path = world.folder("provider") / "peer.json"
    kept = path.read_bytes()
    for data in (kept.replace(b'"samples":', b'"samples": '), b"", None):
        path.unlink() if data is None else path.write_bytes(data)
        told = "not the file that was pinned"
        refused_import(capsys, world, "provider", world.bundle("learner"), LedgerError, told, hint="backup")


def test_a_private_key_that_others_can_read_signs_nothing(stage, capsys):
    world = stage("paired")
    key = world.folder("learner") / "key.pem"
    key.chmod(0o640)
    arguments = ["train-local", "--site", str(world.folder("learner"))]
    refused(capsys, arguments, TrustError, "its mode is 0640, expected 0600", hint="chmod 600")
    assert not list((world.folder("learner") / "outbox").iterdir())
    key.unlink()
    refused(capsys, arguments, UsageError, "no private key")
    key.mkdir()
    refused(capsys, arguments, StorageError, "key.pem", "Is a directory")


def test_a_site_without_its_public_key_is_refused(stage, capsys):
    world = stage("sent")
    path = world.folder("provider") / "public.pem"
    path.unlink()
    refused_import(capsys, world, "provider", world.bundle("learner"), UsageError, "no key file")


@pytest.mark.parametrize("way", ["import-and-select", "export", "train-local", "identity"])
def test_the_second_of_two_commands_on_one_site_is_told_to_wait(stage, capsys, way):
    world = stage("answered")
    site = ["--site", str(world.folder("learner"))]
    given = {"import-and-select": [str(world.bundle("provider"))], "export": [str(world.disk)]}.get(way, [])
    before = world.fingerprint("learner")
    with (world.folder("learner") / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(capsys, [way, *given, *site], LockedError, "another alx command", hint="wait")
    assert world.fingerprint("learner") == before
    assert forge.run(["status", *site]) == 0


def test_an_order_of_commands_that_makes_no_sense_names_the_next_one(stage, capsys):
    world = stage("paired")
    learner, provider = (["--site", str(world.folder(role))] for role in ("learner", "provider"))
    refused(capsys, ["export", str(world.disk), *learner], TurnError, "nothing to export", hint="alx train-local")
    refused(capsys, ["train-local", *provider], TurnError, "no turn to train now", hint="alx import-and-select")
    refused(capsys, ["best", str(world.root / "x"), *learner], UsageError, "nothing was selected", hint="alx train-local")


def test_a_site_that_cannot_be_used_says_what_is_wrong(stage, capsys):
    world = stage("paired")
    site = world.folder("learner") / "site.toml"
    arguments = ["status", "--site", str(world.folder("learner"))]
    for text in ("role = 3", "x = " + "9" * 5000, "x = " + "[" * 100_000, "\x00"):
        site.write_text(text)
        refused(capsys, arguments, ConfigError, "site.toml")
    site.unlink()
    refused(capsys, arguments, UsageError, "is no site", hint="alx init")


def test_training_that_diverges_is_a_refusal_and_seals_nothing(tmp_path, capsys):
    plan = PLAN.replace("lr = 0.01", "lr = 1e30")
    world = pair_world(make_world(tmp_path / "world", plan))
    refused(capsys, ["train-local", "--site", str(world.folder("learner"))], DivergedError, hint="learning rate")
    assert not list((world.folder("learner") / "outbox").iterdir())
    assert world.state("learner").position.step == "train"


@pytest.mark.parametrize("name", ["plan.toml", "identity.json", "peer.json"])
def test_status_names_no_next_step_that_would_be_refused(stage, capsys, name):
    world = stage("second")
    path = world.folder("provider") / name
    path.write_bytes(path.read_bytes().replace(b"12", b"14", 1) if name == "plan.toml" else path.read_bytes() + b"\n")
    status, take = (["status"], ["import-and-select", str(world.bundle("learner", 2))])
    site = ["--site", str(world.folder("provider"))]
    error = {"plan.toml": ConfigError, "identity.json": MalformedError, "peer.json": LedgerError}[name]
    assert refused(capsys, [*status, *site], error) == refused(capsys, [*take, *site], error)


def test_a_plan_of_trajectories_takes_no_blend(tmp_path, capsys):
    world = pair_world(make_world(tmp_path / "w", PLAN.replace("seed = 3", 'seed = 3\ncandidates = "trajectory"')))
    assert world.take("provider", world.turn("learner")) == 0
    forged = Forge(world.turn("provider"), forge.keys.load_private(world.folder("provider") / "key.pem"))

    said = forged.manifest()
    last = said["candidates"][-1]
    blend = {
        "own_step": last["step"],
        "peer_bundle": said["answers"],
        "peer_step": 5,
        "own": 0.5,
        "peer": 0.5,
        "momentum": 0.0,
    }
    said["candidates"].append(last | {"step": None, "blend": blend, "keyframe": False, "files": []})
    forged.manifest_bytes(forge.form(said))
    refused_import(capsys, world, "learner", forged.bundle, PeerError, "1 blend, more than the plan allows")
