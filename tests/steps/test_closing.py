"""The closing: the learner's last selection goes back to the provider, and both sides end with one model."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import torch

from alx import audit
from alx.bundle.closing import MAX_CLOSING_BYTES
from alx.cli.main import run
from alx.errors import CorruptError, GapError, LedgerError, PeerError, RollbackError, TrustError, TurnError, UsageError
from alx.site import entries
from alx.tasks import models
from tests.cli.test_startup import BLOCK
from tests.conftest import PLAN, make_data, make_world, pair_world
from tests.forge import Forge, command, refused, refused_import
from tests.killed import history, killed, leftovers
from tests.mending import export, harm
from tests.project.test_generated import validator
from tests.site.test_keys import PASSPHRASE, descriptor, set_passphrase
from tests.steps.test_rotation import accept, rotate

ROLES = ("learner", "provider")


def play(world):
    """Both rounds, up to the learner's last selection."""
    for _ in range(2):
        assert world.take("provider", world.turn("learner")) == 0
        assert world.take("learner", world.turn("provider")) == 0
    return world


def status(world, role, alx):
    return json.loads(alx("status", "--json", "--site", world.folder(role)).out)


def best(world, role):
    """The bytes of the best model's file."""
    out = world.root / f"{role}-best.safetensors"
    assert run(["best", str(out), "--site", str(world.folder(role))]) == 0
    return out.read_bytes()


@pytest.mark.parametrize(
    ("seed", "more"),
    [
        (3, ""),
        (4, ""),
        (5, ""),
        (3, 'candidates = "trajectory"'),
        (4, 'candidates = "trajectory"'),
        (5, 'candidates = "trajectory"'),
        (3, 'rounding = "bfloat16"'),
        (3, "encrypt = true"),
    ],
)
def test_both_sides_end_with_the_same_weights(tmp_path, alx, seed, more):
    plan = PLAN.replace("seed = 3", f"seed = {seed}\n{more}")
    (tmp_path / "w").mkdir()
    world = make_world(tmp_path / "w" / "of", plan)
    make_data(world.root, seed)
    play(pair_world(world))
    assert world.take("provider", world.close()) == 0
    told = [status(world, role, alx) for role in ROLES]
    assert {t["step"] for t in told} == {"done"}
    assert told[0]["model"] == told[1]["model"] == world.state("learner").position.closed.state
    assert told[0]["global_loss"] == told[1]["global_loss"]
    chosen = world.state("learner").position.selected
    assert told[0]["global_loss"] == min(one.global_loss for one in chosen)  # of all rounds
    assert best(world, "learner") == best(world, "provider")
    for role in ROLES:
        assert f"model {told[0]['model']}" in alx("status", "--site", world.folder(role)).out
        audit.site(world.site(role))


def test_the_closings_loss_is_that_of_both_data_sets_at_the_model_that_both_have(stage):
    """Against torch alone: the provider's file, and both sites' samples."""
    world = stage("closed")
    best(world, "provider")
    model = models.mlp(4, 3, 8)
    kept = safetensors.numpy.load_file(world.root / "provider-best.safetensors")
    model.load_state_dict({name: torch.from_numpy(values) for name, values in kept.items()})
    model.requires_grad_(requires_grad=False)
    total = 0.0
    for role in ROLES:
        data = np.load(world.root / f"{role}.npz")
        x, y = torch.from_numpy(data["train_images"]), torch.from_numpy(data["train_labels"])
        total += float(torch.nn.functional.cross_entropy(model(x), y, reduction="sum"))
    for role in ROLES:
        assert world.state(role).position.closed.global_loss == pytest.approx(total, abs=1e-3)


def test_a_closing_is_small_and_says_no_more_than_the_beginning_of_a_turn(stage):
    world = stage("closing")
    files = {p.relative_to(world.closing).as_posix(): p.stat().st_size for p in world.closing.rglob("*")}
    assert files.keys() == {"closing.json", "round.sig"}
    assert sum(files.values()) < 2_100
    assert files["closing.json"] < MAX_CLOSING_BYTES / 4
    said = json.loads((world.closing / "closing.json").read_bytes())
    validator("closing").validate(said)
    turn = json.loads((world.bundle("learner", 2) / "manifest.json").read_bytes())
    assert said.keys() - turn.keys() == {"state"}
    chosen = world.state("learner").position.selected[-1]
    assert said["start"] == {"candidate": chosen.index, "global_loss": chosen.global_loss, "samples": 100}
    assert (said["round"], said["sequence"], said["samples"]) == (2, 5, 40)


def test_what_each_side_knows_is_what_it_says(stage, alx):
    world = stage("finished")
    learner, provider = (("status", "--site", world.folder(role)) for role in ROLES)
    assert "left to do: the closing" in alx(*learner).out
    assert "still to come: the learner's closing" in alx(*provider).out
    assert "next: alx import-and-select DISK/CLOSING" in alx(*provider).out
    told = alx("export", world.disk, "--site", world.folder("learner")).out
    assert told.startswith("the closing: copied, read back and verified")
    assert "done: the closing was handed over; once it is imported, both have" in alx(*learner).out
    assert "done: both sides have" not in alx(*provider).out
    told = alx(*command(world, "provider", world.closing)).out
    assert "the learner chose last: t=7 of round 2" in told
    assert "held-out score" in told
    assert "done: both sides have t=7 of round 2" in alx(*provider).out
    assert "closed " in alx("audit", world.folder("provider")).out
    said = alx("audit", world.closing, "--key", world.folder("learner") / "public.pem").out
    assert "no model     it closes the exchange" in said
    assert "global loss  59.9474 over 100 samples on both sides, at the chosen model" in said


def test_imported_or_exported_again_it_changes_nothing(stage, alx):
    world = stage("closed")
    before = [history(world, role) for role in ROLES]
    again = alx(*command(world, "provider", world.closing))
    assert (again.code, "already imported; nothing changed" in again.out) == (0, True)
    assert "the learner chose last: t=7" in again.out
    assert history(world, "provider") == before[1]
    told = alx(*command(world, "learner", world.bundle("provider", 2)))
    assert (told.code, "already imported" in told.out) == (0, True)
    assert "was on the disk already" in alx(*export(world)).out
    assert [kind for kind, _ in history(world, "learner")] == [kind for kind, _ in before[0]] + ["exported"]


def test_an_exchange_that_is_never_closed_is_as_it_was(stage, alx):
    """Of an older alx, say: each side has the best that it selected itself, and can be audited."""
    world = stage("finished")
    for role in ROLES:
        least = min(world.state(role).position.selected, key=lambda one: one.global_loss)
        best(world, role)
        found = json.loads(alx("best", world.root / f"{role}-best.safetensors", "--site", world.folder(role), "--json").out)
        assert (found["round"], found["global_loss"]) == (least.round, least.global_loss)
        audit.site(world.site(role))
        assert status(world, role, alx)["model"] is None


def test_a_closing_before_its_time_is_refused_and_taken_later(stage, capsys):
    """The disk comes before that of round 2; the provider has not answered round 2 yet."""
    ended, world = stage("closing"), stage("second")
    bundle = ended.closing
    words = ("closing after round 2", "expected the bundle of round 2")
    refused_import(capsys, world, "provider", bundle, GapError, *words, hint="next: alx")
    assert world.take("provider", world.bundle("learner", 2)) == 0
    assert command(world, "provider", bundle)
    assert world.take("provider", bundle) == 16  # it answers what is not trained yet
    assert world.take("learner", world.turn("provider")) == 0
    assert world.take("provider", world.close()) == 0
    refused_import(
        capsys, world, "provider", world.bundle("learner", 2), RollbackError, "bundle of round 2", "closing after round 2"
    )


def test_one_of_another_pair_and_ones_own_are_refused(stage, capsys, tmp_path):
    world, other = stage("finished"), play(pair_world(make_world(tmp_path / "other")))
    refused_import(capsys, world, "provider", other.close(), TrustError, "signed with the key")
    refused_import(capsys, world, "learner", world.close(), PeerError, "of this site's own")


def test_a_loss_that_rose_is_flagged_and_both_have_the_model_all_the_same(stage, alx):
    world = stage("closing")
    Forge.of(world, "learner", 2).closing.edit(lambda m: m["start"].update(global_loss=90.0))
    told = alx(*command(world, "provider", world.closing))
    assert (told.code, "LOOK: the learner's global loss is above" in told.out) == (0, True)
    assert world.state("provider").position.closed.loss_rose is True
    assert "LOOK: the loss rose" in alx("audit", world.folder("provider")).out


def test_a_plain_closing_where_the_plan_encrypts_is_refused(tmp_path, capsys):
    world = play(pair_world(make_world(tmp_path / "w", PLAN.replace("seed = 3", "seed = 3\nencrypt = true"))))
    closing = world.close()
    assert {p.name for p in closing.iterdir()} == {"closing.json.age", "round.sig"}
    assert sum(p.stat().st_size for p in closing.iterdir()) < 2_600
    plain = closing.parent / "plain" / closing.name
    plain.mkdir(parents=True)
    (plain / "closing.json").write_text("{}")
    Forge(plain, Forge.of(world, "learner", 2).key).sign()
    refused_import(capsys, world, "provider", plain, PeerError, "the bundle is plain, expected encrypted by the plan")
    assert world.take("provider", closing) == 0


# --- keys


def test_a_passphrase_is_asked_for_only_where_the_closing_is_sealed(stage, capsys):
    world = stage("finished")
    folder = world.folder("learner")
    set_passphrase(folder, PASSPHRASE)
    refused(capsys, export(world), UsageError, "passphrase", "no terminal", hint="--passphrase-fd")
    assert world.state("learner").position.step == "export-closing"
    with descriptor(PASSPHRASE) as fd:
        assert run([*export(world), "--passphrase-fd", fd]) == 0
    assert run(export(world)) == 0  # again: it is sealed
    assert world.take("provider", world.closing) == 0


def test_a_key_replaced_after_the_last_selection_signs_the_closing(stage, capsys):
    world = stage("finished")
    file = rotate(world, "learner")
    closing = world.close()
    refused(
        capsys, ["key", "rotate", str(world.disk / "r.json"), "--site", str(world.folder("learner"))], TurnError, "is done"
    )
    refused_import(capsys, world, "provider", closing, TrustError, "expected", hint="alx key accept")
    assert accept(world, "provider", file) == 0
    assert world.take("provider", closing) == 0
    for role in ROLES:
        audit.site(world.site(role))


def test_no_torch_is_loaded_to_close(stage):
    world = stage("finished")
    words = [sys.executable, "-c", BLOCK, "export", "disk", "--site", "learner"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=world.root)
    assert done.returncode == 0, done.stderr


# --- a damaged disk, a bad day


def test_a_damaged_closing_is_named_asked_for_and_repaired(stage, capsys):
    world = stage("closing")
    good = shutil.copytree(world.closing, world.root / "copy" / world.closing.name)
    harm(world.closing / "closing.json")
    refused_import(capsys, world, "provider", world.closing, CorruptError, "closing.json", "differs from what was signed")
    ask = world.root / "ask.json"
    assert run([*command(world, "provider", world.closing), "--request", str(ask)]) == CorruptError.exit_code
    assert run(export(world, "--only", ask)) == 0
    (repair,) = world.disk.glob("*.repair-*")
    assert {p.name for p in repair.iterdir()} == {"closing.json", "round.sig"}
    twin = shutil.copytree(world.root, world.root.with_name("twin"))
    both = [str(twin / "copy" / good.name), "--site", str(twin / "provider")]
    assert run(["import-and-select", str(twin / "disk" / good.name), *both]) == 0
    assert world.take("provider", repair) == 0
    assert not leftovers(world)


def test_an_old_request_brings_no_closing_and_parity_of_one_file_is_refused(stage, capsys):
    world = stage("finished")
    ask = world.root / "ask.json"
    harm(world.bundle("learner", 2) / "manifest.json")
    other = stage("second")
    harm(other.bundle("learner", 2) / "manifest.json")
    assert run([*command(other, "provider", other.bundle("learner", 2)), "--request", str(ask)]) == CorruptError.exit_code
    refused(capsys, export(world, "--only", ask), TurnError, "the closing of round 2 is not sealed yet", "answered already")
    refused(capsys, export(world, "--parity", "10"), UsageError, "one small file", hint="leave out --parity")
    refused(capsys, ["export", str(world.root / "none"), *export(world)[2:]], UsageError, "there is no folder")
    assert world.state("learner").position.step == "export-closing"  # nothing was sealed for a disk that is not there
    world.close()
    refused(capsys, export(world, "--only", ask), RollbackError, "bundle of round 2", "last one sealed is the closing")


def test_nothing_is_left_to_train_and_a_turn_in_the_closings_name_is_found(stage, capsys):
    world = stage("finished")
    train = ["train-local", "--site", str(world.folder("learner"))]
    refused(capsys, train, TurnError, "round 2 was the plan's last", hint="alx export")
    refused(capsys, ["train-local", "--site", str(world.folder("provider"))], TurnError, "plan's last", hint="CLOSING")
    closing = world.close()
    refused(capsys, train, TurnError, "round 2 was the plan's last", hint="alx best")
    assert world.take("provider", closing) == 0
    (taken,) = (world.folder("provider") / "inbox").glob("*-closing")
    harm(taken / "closing.json")
    refused(capsys, ["audit", str(world.folder("provider"))], CorruptError, "accepted closing after round 2", "closing.json")
    shutil.rmtree(taken)
    refused(capsys, ["audit", str(world.folder("provider"))], CorruptError, "accepted closing after round 2 is gone")


def test_a_backup_after_the_closing_is_restored_closed(stage, alx):
    world = stage("closed")
    for role in ROLES:
        told = status(world, role, alx)["model"]
        assert run(["backup", str(world.root / f"{role}-backup"), "--site", str(world.folder(role))]) == 0
        shutil.rmtree(world.folder(role))
        assert run(["restore", str(world.root / f"{role}-backup"), str(world.folder(role))]) == 0
        assert (status(world, role, alx)["step"], status(world, role, alx)["model"]) == ("done", told)


def test_a_second_closing_of_a_restored_learner_is_the_same_one(stage, alx):
    """The backup is older than the closing: what is sealed again is the same to the digest."""
    world = stage("finished")
    assert run(["backup", str(world.root / "backup"), "--site", str(world.folder("learner"))]) == 0
    assert world.take("provider", world.close()) == 0
    digest = world.state("learner").position.sealed[-1].digest
    shutil.rmtree(world.folder("learner"))
    assert run(["restore", str(world.root / "backup"), str(world.folder("learner"))]) == 0
    (world.root / "disk2").mkdir()
    assert run(["export", str(world.root / "disk2"), "--site", str(world.folder("learner"))]) == 0
    (again,) = (world.root / "disk2").glob("*-closing")
    assert world.state("learner").position.sealed[-1].digest == digest
    assert "already imported" in alx(*command(world, "provider", again)).out


@pytest.mark.parametrize("change", [{"state": "0" * 64}, {"start": {"candidate": 4000, "global_loss": 9.0, "samples": 100}}])
def test_no_ledger_is_rebuilt_with_a_closing_that_names_another_model(stage, capsys, change):
    world = stage("closing")
    (world.folder("learner") / "ledger.sqlite").unlink()
    (own,) = (world.folder("learner") / "outbox").glob("*-closing")
    Forge(own, Forge.of(world, "learner", 2).key).edit(lambda m: m.update(change))
    words = ["reset-ledger", "--reason", "lost", "--yes", "--site", str(world.folder("learner"))]
    refused(capsys, words, LedgerError, "names another model than candidate", hint="backup")


def closed(world):
    """What both ledgers say of the end, an export that was recorded twice counted once."""
    kinds = ("sealed", "accepted", "closed")
    return [[(kind, body) for kind, body in history(world, role) if kind in kinds] for role in ROLES]


@pytest.mark.parametrize("role", ROLES)
def test_killed_anywhere_the_same_command_goes_on_to_the_same_closing(stage, tmp_path, role):
    template = stage("finished" if role == "learner" else "closing")
    words = ("export", "{}/disk") if role == "learner" else ("import-and-select", f"{{}}/disk/{template.closing.name}")
    expected = closed(stage("closed"))
    worlds = killed(template, tmp_path / "killed", *words, "--site", f"{{}}/{role}", every=14)
    assert len(worlds) > 3
    for what, world in worlds:
        assert run([w.format(world.root) for w in (*words, "--site", f"{{}}/{role}")]) == 0, what
        if role == "learner":
            assert world.take("provider", world.closing) == 0, what
        assert closed(world) == expected, what
        assert not leftovers(world), what
        assert not (world.folder("learner") / "work").exists(), what
        for side in ROLES:
            audit.site(world.site(side))


def test_the_ledgers_record_is_read_as_it_was_written(stage):
    for role in ROLES:
        made = stage("closed").state(role).position.closed
        assert entries.of("closed", json.loads(entries.text(made))) == made
        assert made.label == "t=7"
