"""The main test: two sites, a disk, two rounds, in separate processes where that matters."""

import dataclasses
import io
import json

import numpy as np
import pytest
import safetensors.numpy
import torch

from alx.bundle import carried, codec, keys, read
from alx.bundle.manifest import KEYFRAME_EVERY
from alx.learning import measure, select
from alx.site import ledger
from alx.tasks import load, models
from tests.conftest import PLAN, make_world, pair_world


def test_two_sites_that_share_nothing_but_a_disk_finish_two_rounds_with_one_model(stage, alx):
    world = stage("closed")
    models = []
    for role in ("learner", "provider"):
        told = json.loads(alx("status", "--site", world.folder(role), "--json").out)
        assert (told["step"], told["sealed"], told["accepted"]) == ("done", 2, 2)
        assert alx("audit", world.folder(role)).code == 0
        assert alx("best", world.root / role / "best.st", "--site", world.folder(role)).code == 2  # not into a site
        assert alx("best", world.root / f"{role}.st", "--site", world.folder(role)).code == 0
        models.append((told["model"], told["global_loss"], (world.root / f"{role}.st").read_bytes()))
    assert models[0] == models[1]


def test_the_global_loss_never_rises_and_every_start_was_sent(stage):
    world = stage("finished")
    chosen = [*world.state("learner").position.selected, *world.state("provider").position.selected]
    chosen.sort(key=lambda body: (body.round, body.digest in _sent_by(world, "provider")))
    losses = [body.global_loss for body in chosen]
    assert losses == sorted(losses, reverse=True)
    assert [body.flags.start_sent for body in chosen] == [None, True, True, True]
    assert not any(body.flags.loss_rose for body in chosen)


def _sent_by(world, role):
    return {body.digest for body in world.state(role).position.sealed}


def test_the_selection_is_the_argmin_of_signed_plus_own_loss_measured_anew(stage):
    """Against torch alone: every candidate decoded, both losses computed from the two data files."""
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    body = world.state("learner").position.selected[-1]
    totals = []
    data = [np.load(world.root / f"{role}.npz") for role in ("learner", "provider")]
    with carried.survey(world.bundle("provider")) as source:
        key = keys.load_public(world.folder("provider") / "public.pem")
        signed = read.verify(source, read.claimed_key(source)[0], key)
        manifest = read.read_manifest(source, signed)
        for _, candidate, flat in read.states(source, signed, manifest):
            model = models.mlp(4, 3, 8)
            model.load_state_dict(
                {
                    t.name: torch.frombuffer(bytearray(flat[a:b]), dtype=torch.float32).reshape(t.shape)
                    for t, a, b in manifest.layout.spans()
                }
            )
            model.requires_grad_(requires_grad=False)
            sums = [
                float(
                    torch.nn.functional.cross_entropy(
                        model(torch.from_numpy(d["train_images"])), torch.from_numpy(d["train_labels"]), reduction="sum"
                    )
                )
                for d in data
            ]
            assert abs(sums[1] - candidate.loss) < 1e-3
            totals.append(sum(sums))
    assert body.index == int(np.argmin(totals))
    assert abs(body.global_loss - min(totals)) < 1e-3
    assert body.samples == 100


@pytest.mark.parametrize("bytes_", [1, 3000], ids=["one at a time", "a few at a time"])
def test_models_that_do_not_fit_together_are_decoded_again_and_change_nothing(stage, monkeypatch, bytes_):
    expected = stage("finished").state("learner").position.selected
    monkeypatch.setattr(measure, "TOGETHER_BYTES", bytes_)
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    assert world.state("learner").position.selected[0] == expected[0]


def test_the_scan_measures_everything_and_chooses_the_same(stage, alx):
    raced, scanned = stage("answered"), stage("answered")
    bundle = raced.bundle("provider")
    told = alx("import-and-select", bundle, "--site", raced.folder("learner"))
    assert told.code == 0
    assert "of a full scan's evaluations were needed" in told.out
    assert ">= " in told.out
    full = alx("import-and-select", scanned.bundle("provider"), "--full", "--site", scanned.folder("learner"))
    assert full.code == 0
    assert "evaluations" not in full.out
    assert ">= " not in full.out
    a, b = (world.state("learner").position.selected[-1] for world in (raced, scanned))
    assert (a.index, a.label, a.global_loss) == (b.index, b.label, b.global_loss)
    samples = raced.state("learner").own.file.samples  # t = 0 was measured before it was sent
    assert a.evaluations < b.evaluations == b.scan - samples
    assert a.scan == b.scan == samples * len(a.labels)
    assert None not in b.own
    for i, own in enumerate(a.own):
        assert own == pytest.approx(b.own[i]) if own is not None else a.at_least[i] <= b.own[i]
        assert own is not None or a.signed[i] + a.at_least[i] >= a.global_loss
    assert a.flags.start_loss_true is b.flags.start_loss_true is True


@pytest.mark.parametrize("scanned", [False, True])
def test_however_few_models_fit_every_state_is_decoded_about_twice(tmp_path, monkeypatch, scanned):
    """The first share of the samples takes one pass, the rest another, and the likely winners a few states more."""
    steps = "round_steps = { learner = 79, provider = 3 }"
    plan = PLAN.replace("round_steps = 12", steps).replace("sampling_period = 2", "sampling_period = 1")
    world = pair_world(make_world(tmp_path / "w", plan))
    bundle = world.turn("learner")
    monkeypatch.setattr(measure, "TOGETHER_BYTES", 1)
    if scanned:
        made = load.task
        monkeypatch.setattr(load, "task", lambda *given: dataclasses.replace(made(*given), sample_losses=None))
    decode, count = codec.decode, []
    monkeypatch.setattr(codec, "decode", lambda *given, **more: (count.append(1), decode(*given, **more)))
    assert world.take("provider", bundle) == 0
    assert len(world.state("provider").position.selected[-1].labels) == 80
    likely = 1 if scanned else 1 + select.CONTENDERS  # asked for out of order: the one that is chosen, for its score
    assert 80 <= len(count) <= (1 if scanned else 2) * 80 + (likely + 1) * KEYFRAME_EVERY


def test_best_is_a_plain_safetensors_file_of_the_least_global_loss(stage, alx, tmp_path):
    world = stage("finished")
    out = tmp_path / "best.safetensors"
    told = json.loads(alx("best", out, "--site", world.folder("learner"), "--json").out)
    least = min(world.state("learner").position.selected, key=lambda body: body.global_loss)
    assert (told["round"], told["global_loss"]) == (least.round, least.global_loss)
    tensors = safetensors.numpy.load_file(out)
    x, y = (np.load(world.root / "learner.npz")[f"train_{n}"] for n in ("images", "labels"))
    for i in (0, 2, 4):
        x = x @ tensors[f"{i}.weight"].T + tensors[f"{i}.bias"]
        x = np.maximum(x, 0) if i < 4 else x
    own = float(torch.nn.functional.cross_entropy(torch.from_numpy(x), torch.from_numpy(y), reduction="sum"))
    assert abs(own - least.own[least.index]) < 1e-3
    with safetensors.safe_open(out, "numpy") as file:
        assert json.loads(file.metadata()["alx"])["global_loss"] == least.global_loss


def test_both_chains_stand_in_the_ledgers_and_in_the_bundles(stage):
    world = stage("finished")
    learner, provider = (ledger.read(world.folder(r) / "ledger.sqlite") for r in ("learner", "provider"))
    sealed = [e.record for e in learner if e.line.kind == "sealed"]
    replies = [e.record for e in provider if e.line.kind == "sealed"]
    assert [turn.answers for turn in replies] == [turn.digest for turn in sealed]
    assert sealed[1].answers == replies[0].digest
    assert sealed[1].previous == sealed[0].digest


def test_status_always_names_the_next_command(stage, alx):
    expected = {
        "paired": ("train-local", "import-and-select"),
        "sent": ("import-and-select", "import-and-select"),
        "answered": ("import-and-select", "import-and-select"),
        "second": ("import-and-select", "import-and-select"),
        "finished": ("export", "import-and-select"),
        "closing": ("best", "import-and-select"),
        "closed": ("best", "best"),
    }
    for name, commands in expected.items():
        world = stage(name)
        for role, command in zip(("learner", "provider"), commands, strict=True):
            told = alx("status", "--site", world.folder(role))
            assert told.code == 0
            assert f"next: alx {command}" in told.out


def test_a_site_is_found_from_within_by_option_and_by_environment(stage, alx, monkeypatch, tmp_path):
    world = stage("paired")
    monkeypatch.chdir(world.folder("learner") / "outbox")
    assert "learner's site" in alx("status").out
    monkeypatch.chdir(tmp_path)
    assert alx("status").code == 2
    monkeypatch.setenv("ALX_SITE", str(world.folder("provider")))
    assert "provider's site" in alx("status").out
    assert "learner's site" in alx("status", "--site", world.folder("learner")).out


def test_pairing_asks_whether_the_words_were_compared(stage, alx, monkeypatch):
    world = stage("paired")
    asked = ["pair", world.disk / "provider.json", "--site", world.folder("learner")]
    for answer, code in (("n\n", 11), ("y\n", 0), ("", 2)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        told = alx(*asked)
        assert told.code == code, told.err
        assert world.state("provider").own.words in told.out
