"""`alx leakage` attacks a site's own bundle, says what it found and what that is not, and keeps the figures at home."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from alx.cli.main import run
from alx.errors import ConfigError, UsageError
from alx.learning.task import Canaries, LossSum, Members, SampleLosses, Task
from alx.site import events, shelf
from alx.site.entries import Leakage
from alx.tasks import load, membership
from alx.tasks.guard import guarded
from alx.tasks.interval import Interval
from alx.tasks.membership import Attack, Rare
from alx.turns.bridge import from_flat
from alx.turns.leakage import Leakage as Found
from tests import heads
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import refused

LEARNT = PLAN.replace("round_steps = 12", "round_steps = 200").replace("sampling_period = 2", "sampling_period = 60")
WIDE = LEARNT.replace("inputs = 4", "inputs = 20").replace("hidden = 8", "hidden = 48")


@pytest.fixture(scope="module")
def by_heart(tmp_path_factory):
    """The learner has sealed a turn in which it learnt labels that mean nothing: the first class often, the last seldom."""
    root = tmp_path_factory.mktemp("by-heart") / "now"
    world = make_world(root, WIDE)
    settings = world.folder("learner") / "site.toml"
    settings.write_text(settings.read_text().replace("canaries = 0", "canaries = 46"))
    rng = np.random.default_rng(1)
    for role, counts in (("learner", (50, 40, 6)), ("provider", (5, 30, 40))):
        y = np.repeat([0, 1, 2], counts)
        apart = np.repeat([0, 1, 2], 30)
        x, t = (rng.normal(size=(len(each), 20)).astype(np.float32) for each in (y, apart))
        np.savez(root / f"{role}.npz", train_images=x, train_labels=y, test_images=t, test_labels=apart)
    pair_world(world)
    assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
    return world


def test_what_was_learnt_by_heart_is_found_told_in_words_and_recorded_and_shown_at_home_alone(
    by_heart, alx, tmp_path, monkeypatch
):
    site = by_heart.folder("learner")
    ledger = (site / "ledger.sqlite").read_bytes()
    found = json.loads(alx("leakage", "--site", site, "--json").out)
    assert (site / "ledger.sqlite").read_bytes() == ledger
    out = found["canaries"]["canaries"] - found["canaries"]["inside"]
    assert 10 < out < 36
    assert found["samples"]["own"] == 96 - out == by_heart.state("learner").own.file.samples
    assert f"canaries: of 46 samples a coin leaves {out} out" in alx("check", "--site", site).out
    # what a peer is told beforehand is that number too, or it would know by subtraction how many were left out
    told = json.loads(alx("describe", tmp_path / "told.json", "--site", site, "--json").out)["description"]
    assert told["samples"] == 96 - out
    assert (found["samples"]["apart"], found["samples"]["classes"]) == (90, 3)
    assert set(found["membership"]) == set(membership.ATTACKS)
    best = found["membership"][found["strongest"]]
    assert best["auc"]["low"] > 0.6
    assert found["canaries"]["guesses"] == 22
    assert found["canaries"]["epsilon"] > 0.5
    assert found["composition"]["classes"] == 3
    said = alx("leakage", "--site", site, "--round", "1").out
    for words in (
        "LOOK: found: of two samples",
        "not found is not safe",
        "fewer than 100 kept apart",
        "1 false alarm in 100",
        "all ranges but those 'by itself' hold together with 95%",
        "at delta 1e-05 (by itself 95%)",
        "of 3, 1% to 91% (by itself 95%); a guess: half",
    ):
        assert words in said
    assert f"{best['auc']['value']:.2f} ({best['auc']['low']:.2f} to {best['auc']['high']:.2f})" in said
    logged = [e.record for e in events.read(site / "events.sqlite") if isinstance(e.record, Leakage)]
    assert len(logged) == 2
    assert logged[0] == logged[1]  # the same again finds the same
    assert (logged[0].attack, logged[0].auc) == (found["strongest"], best["auc"]["value"])
    assert f"leakage      of round 1, digest {logged[0].digest[:16]}…, by '{logged[0].attack}'" in alx("audit", site).out
    page = json.loads(alx("report", site, "--json").out)
    (part,) = (p for c in page["clusters"] for p in c["parts"] if p["title"] == "What attacks on own bundles found")
    row = part["tables"][0]["rows"][-1]
    assert row[:3] == ["1L", row[1], found["samples"]["pairs"]]
    assert row[10] == found["canaries"]["epsilon"]
    assert [logged[0].attack, logged[0].auc, logged[0].low, logged[0].high] == row[3:7]
    assert page["private"]
    # what goes with the disk says that it was done, and no figure
    assert run(["export", str(by_heart.disk), "--site", str(site)]) == 0
    monkeypatch.chdir(site)
    label = alx("label", by_heart.bundle("learner"), "-o", tmp_path / "label.html").out
    assert "attacks tried        by its sender, 20" in label
    assert "by its sender, 20" in (tmp_path / "label.html").read_text()
    assert not any(f"{x:.2f}" in label for x in (logged[0].auc, logged[0].low, logged[0].found))
    assert logged[0].attack not in label
    bundle = alx("report", by_heart.bundle("learner"), "--key", site / "public.pem", "--json").out
    assert "attacks on own bundles" not in bundle


def test_the_losses_that_are_attacked_are_those_of_the_models_in_the_bundle(by_heart, alx):
    now = by_heart.state("learner")
    found = json.loads(alx("leakage", "--site", now.site.folder, "--json").out)
    data = np.load(by_heart.root / "learner.npz")
    with shelf.opened(now, now.position.sealed[-1]) as bundle:
        last = from_flat(bundle.state(len(bundle.manifest.snapshots) - 1), bundle.manifest.layout)
    assert found["models"] == len(bundle.manifest.snapshots)
    net = load.task(now.site.folder, now.site.config, now.site.plan).new_model()
    net.load_state_dict(last)

    def losses(part):
        x, y = torch.from_numpy(data[f"{part}_images"]), torch.from_numpy(data[f"{part}_labels"]).long()
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(net.eval()(x), y, reduction="none").numpy()[data[f"{part}_labels"] == 2]

    # canaries that were left out have gone: of the last class all that the coin spared
    inside = load.samples(now.site.config.data, now.site.folder, now.site.plan).own
    rare = torch.from_numpy(data["train_images"][data["train_labels"] == 2])
    spared = [any(torch.equal(row, x) for x in inside.samples_at(torch.arange(len(inside)))[0]) for row in rare]
    assert found["rare"]["samples"] == sum(spared)
    truth = np.repeat([1, 0], [sum(spared), 30])
    assert found["rare"]["auc"]["value"] == pytest.approx(
        roc_auc_score(truth, -np.concatenate([losses("train")[spared], losses("test")])), abs=1e-9
    )


def test_no_attack_goes_by_samples_kept_apart_that_were_trained_on(by_heart, alx, tmp_path, capsys):
    world = World(shutil.copytree(by_heart.root, tmp_path / "now"))
    learner, place = world.folder("learner"), world.root / "learner.npz"
    before = json.loads(alx("leakage", "--site", learner, "--json").out)
    assert before["samples"]["both"] == 0
    data = dict(np.load(place))
    images, labels = data["train_images"], data["train_labels"]
    more = data | {
        "test_images": np.concatenate([images[::2], data["test_images"]]),
        "test_labels": np.concatenate([labels[::2], data["test_labels"]]),
    }
    np.savez(place, **more)
    found = json.loads(alx("leakage", "--site", learner, "--json").out)
    site = world.site("learner")
    trained, _ = load.samples(site.config.data, learner, site.plan).own.arrays()  # without canaries that a coin left out
    inside = (images[:, None] == trained).all(2).any(1)
    both = int(inside[::2].sum())
    assert (found["samples"]["apart"], found["samples"]["both"]) == (138, both)
    assert found["membership"]["last loss"]["auc"]["low"] > 0.6
    told = f"LOOK: {both} of the 138 samples kept apart have the input of one trained on: no attack goes by these"
    assert told in alx("leakage", "--site", learner).out
    np.savez(place, **data | {"test_images": trained, "test_labels": labels[inside]})
    told = "; {0} of the {0} samples kept apart have the input of one trained on".format(len(trained))
    refused(capsys, ["leakage", "--site", str(learner)], ConfigError, "0 own samples can be set beside one", told)


def attacks_of(alx, site):
    """What a report on a site says of its attacks."""
    page = json.loads(alx("report", site, "--json").out)
    (part,) = (p for c in page["clusters"] for p in c["parts"] if p["title"] == "What attacks on own bundles found")
    return part["words"]


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """Both sides have sealed their first bundle, where the last layer is solved for; labels mean nothing."""
    root = heads.make(tmp_path_factory.mktemp("solved") / "world")
    rng = np.random.default_rng(2)
    for role, classes in (("learner", (0, 1)), ("provider", (2, 3))):
        y = np.repeat(classes, heads.COUNT)
        x, t = (rng.normal(size=(len(y), 4)).astype(np.float32) for _ in range(2))
        np.savez(root / f"{role}.npz", train_images=x, train_labels=y, test_images=t, test_labels=y)
    world = pair_world(World(root))
    assert world.take("provider", world.turn("learner")) == 0
    world.turn("provider")
    return world


def test_a_layer_that_was_solved_for_is_attacked_too_and_moments_are_said_not_to_be(solved, alx):
    learner, provider = (solved.folder(role) for role in ("learner", "provider"))
    found = json.loads(alx("leakage", "--site", learner, "--json").out)
    assert (found["models"], found["not_attacked"]) == (3, ["moments"])
    assert set(found["membership"]) == set(membership.ATTACKS)
    assert "LOOK: not attacked: second moments" in alx("leakage", "--site", learner).out
    assert "Not attacked: what the bundle of round 1 holds beside models, second moments" in " ".join(
        attacks_of(alx, learner)
    )
    found = json.loads(alx("leakage", "--site", provider, "--json").out)
    assert (found["models"], found["not_attacked"]) == (4, [])
    assert set(found["membership"]) == {*membership.ATTACKS, "solved"}
    assert "second moments" not in alx("leakage", "--site", provider).out
    assert "second moments" not in " ".join(attacks_of(alx, provider))
    now = solved.state("provider")
    net = load.task(provider, now.site.config, now.site.plan).new_model()
    with shelf.opened(now, now.position.sealed[-1]) as bundle:
        (index,) = (i for i, c in enumerate(bundle.manifest.candidates) if c.solved)
        net.load_state_dict(from_flat(bundle.state(index), bundle.manifest.layout), strict=False)
    areas, data = [], np.load(solved.root / "provider.npz")
    here, there = membership.pairs(data["train_labels"], data["test_labels"], now.site.plan.seed)

    def losses(part, rows):
        x, y = torch.from_numpy(data[f"{part}_images"][rows]), torch.from_numpy(data[f"{part}_labels"][rows]).long()
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(net.eval()(x), y, reduction="none").numpy()

    for odd in (0, 1):
        own, apart = losses("train", here[odd::2]), losses("test", there[odd::2])
        areas.append(roc_auc_score(np.repeat([1, 0], len(own)), -np.concatenate([own, apart])))
    assert found["membership"]["solved"]["auc"]["value"] == pytest.approx(np.mean(areas), abs=1e-9)


def told(**changed):
    """Words about a bundle in which nothing was found."""
    share = Interval(0.01, 0.0, 0.05)
    made = Found(
        turn=SimpleNamespace(round=1, bundle="bundle", digest="0" * 64), models=2, own=90, apart=90, pairs=40, classes=3,
        attacks=[Attack("range", Interval(0.5, 0.4, 0.6), share, share)],
        rare=None, audit=None, composition=None, looked=3, unlooked=0, moments=False,
    )  # fmt: skip
    return replace(made, **changed).words()


def test_an_area_below_a_half_is_found_as_one_above_and_what_was_not_measured_is_said():
    assert not any("LOOK" in word for word in told())
    assert any(
        w.startswith("which classes are held here? nothing to tell: as many samples are held of each") for w in told()
    )
    words = told(unlooked=1)
    assert "which classes are held here? this was not measured" in words
    assert "LOOK: not measured: 1 class of which fewer than 5 samples could be looked at" in words
    assert any("this was not measured: 5 samples kept apart of each of two classes are needed" in w for w in told(looked=1))
    share, below = Interval(0.01, 0.0, 0.05), Interval(0.19, 0.13, 0.28)
    # whoever goes by the opposite of a score is right in 1 - low of cases, and rare classes have a range of their own
    turned = Attack("turned", Interval(0.45, 0.35, 0.57), share, share)
    strongest = Attack("last loss", Interval(0.52, 0.41, 0.63), share, share)
    assert any("; up to 65% cannot be ruled out" in word for word in told(attacks=[strongest, turned]))
    few = Rare("last loss", 4, Interval(0.75, 0.22, 0.97), 0, 0)
    most = "; up to 65%, and 97% among classes of which few are held, cannot be ruled out"
    assert any(most in word for word in told(attacks=[strongest, turned], rare=few))
    words = told(attacks=[Attack("last loss", below, share, share)])
    assert "LOOK: found: of two samples 'last loss' points to the one that was left out in 81% of cases" in words
    words = told(rare=Rare("solved", 14, below, 2, 24))
    assert (
        "  among classes of which few are held (14 own samples), by 'solved' within a class: area 0.19 (0.13 to 0.28)"
        in words
    )
    assert "LOOK: not measured: 2 classes (24 own samples) of which few are held, and nothing is kept apart" in words
    assert "LOOK: found: samples of classes of which few are held look as if they had been left out" in words
    assert not any("found: samples" in word for word in told(rare=Rare("last loss", 0, None, 2, 24)))


def test_where_nothing_could_be_said_it_is_refused_in_words(stage, capsys):
    sent = stage("sent")
    learner = str(sent.folder("learner"))
    data = dict(np.load(sent.root / "learner.npz"))
    np.savez(sent.root / "learner.npz", **data | {"test_images": data["test_images"] + 1})
    refused(capsys, ["leakage", "--site", learner], ConfigError, "10 own samples can be set beside one kept apart")
    refused(capsys, ["leakage", "--site", learner, "--round", "2"], UsageError, "sealed nothing in round 2")
    refused(capsys, ["leakage", "--site", str(sent.folder("provider"))], UsageError, "has sealed no models yet")
    log = events.read(sent.folder("learner") / "events.sqlite")
    assert {(e.record.command, e.record.about) for e in log if e.line.kind == "refused"} == {
        ("leakage", ""),
        ("leakage", "round 2"),
    }


def test_a_task_without_losses_of_single_samples_or_of_samples_kept_apart_is_refused_in_words(stage, capsys):
    site = stage("sent").folder("learner")
    data = dict(np.load(site.parent / "learner.npz"))
    np.savez(site.parent / "learner.npz", **{name: data[name] for name in ("train_images", "train_labels")})
    words = "the task keeps no samples apart, and these attacks are measured by them"
    refused(capsys, ["leakage", "--site", str(site)], ConfigError, words, hint="held_out")
    (site / "task.py").write_text(
        "from alx.learning.task import Canaries, LossSum, Task\n"
        "def make_task(settings):\n"
        "    return Task(settings.model, None, lambda model: LossSum(1.0, 40))\n"
    )
    (site / "site.toml").write_text('role = "learner"\ntask = "task.py"\n')
    words = "the task says no sample's loss by itself, and these attacks go by that"
    refused(capsys, ["leakage", "--site", str(site)], ConfigError, words, hint="sample_losses and members")


def test_a_task_made_by_hand_says_losses_and_classes_of_its_own_and_what_is_wrong_with_them_is_told():
    def of(_models, rows):
        return rows[None].double()

    own, apart = SampleLosses(4, of), SampleLosses(3, of)
    good = Members(own, apart, lambda: (torch.arange(4), torch.arange(3)))

    def members(given, *, signed=False):
        task = Task(lambda: torch.nn.Linear(1, 1), None, lambda _model: LossSum(1.0, 4), members=given, signed=signed)
        return guarded(task, 1).members

    made = members(good)
    assert [t.tolist() for t in made.classes()] == [[0, 1, 2, 3], [0, 1, 2]]
    assert made.apart.of([None], torch.tensor([2, 1])).tolist() == [[2.0, 1.0]]
    assert members(good, signed=True) is None
    for wrong in (torch.arange(3), (torch.arange(4),), (torch.arange(4), torch.arange(3.0)), (torch.arange(4), None), None):
        with pytest.raises(ConfigError, match=r"no two tensors torch.int64 \[4\] and \[3\]"):
            members(replace(good, classes=lambda wrong=wrong: wrong)).classes()
    with pytest.raises(ConfigError, match="members is a SampleLosses, expected Members"):
        members(own)
    with pytest.raises(ConfigError, match="apart of members is a NoneType, expected SampleLosses"):
        members(replace(good, apart=None))
    below = members(replace(good, apart=SampleLosses(3, lambda _models, rows: -rows[None].double())))
    with pytest.raises(ConfigError, match="none is below 0"):
        below.apart.of([None], torch.arange(3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inside": torch.tensor([1, 0, 1], dtype=torch.uint8)}, r"inside of canaries is no tensor torch.bool \[3\]"),
        ({"inside": torch.tensor([1.0, 0.0, 1.0])}, r"inside of canaries is no tensor torch.bool \[3\]"),
        ({"inside": torch.tensor([True, False])}, r"inside of canaries is no tensor torch.bool \[3\]"),
        ({"inside": [True, False, True]}, r"inside of canaries is no tensor torch.bool \[3\]"),
        ({"classes": lambda: torch.zeros(3)}, r"classes\(\) of canaries is no tensor torch.int64 \[3\]"),
        ({"classes": lambda: torch.zeros(4, dtype=torch.int64)}, r"classes\(\) of canaries is no tensor torch.int64 \[3\]"),
        ({"losses": None}, "losses of canaries is a NoneType, expected SampleLosses"),
    ],
)
def test_canaries_made_by_hand_are_coins_and_what_else_is_given_is_told(change, words):
    losses = SampleLosses(3, lambda _models, rows: rows[None].double())
    good = Canaries(losses, lambda: torch.arange(3), torch.tensor([True, False, True]))

    def guarded_with(coins):
        members = Members(losses, losses, lambda: (torch.arange(3), torch.arange(3)), coins)
        task = Task(lambda: torch.nn.Linear(1, 1), None, lambda _model: LossSum(1.0, 3), members=members)
        return guarded(task, 1).members.canaries

    made = guarded_with(good)
    assert (made.classes().tolist(), made.inside.tolist()) == ([0, 1, 2], [True, False, True])
    with pytest.raises(ConfigError, match=words):
        guarded_with(replace(good, **change)).classes()
    with pytest.raises(ConfigError, match="canaries of members is a tuple"):
        guarded_with((losses, torch.ones(3)))
