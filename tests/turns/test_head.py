"""The last layer of a frozen model is solved for: as scikit-learn does it on pooled features, and taken where it is best."""

import json
import shutil

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from alx.bundle import carried, moments, read, signature
from alx.bundle.keys import PublicKey, load_private
from alx.errors import ConfigError, MalformedError
from alx.learning.head import SCALES, Sums, solve
from alx.plan import parse
from alx.progress import silent
from alx.site import shelf
from alx.tasks import load
from alx.turns import inspect, introduce
from alx.turns.bridge import from_flat
from alx.turns.head import tellable
from alx.turns.introduce import initial
from alx.turns.train import _Turn, sealed, train
from tests.conftest import World, pair_world
from tests.heads import PLAN, make


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The first round, and the learner's choice."""
    world = pair_world(World(make(tmp_path_factory.mktemp("head") / "world")))
    assert world.take("provider", world.turn("learner")) == 0
    shutil.copytree(world.root, world.root.with_name("sent"))
    assert world.take("learner", world.turn("provider")) == 0
    return world


@pytest.fixture
def sent(played, tmp_path):
    """The learner's bundle is imported, and the provider has not trained."""
    shutil.copytree(played.root.with_name("sent"), tmp_path / "world")
    return World(tmp_path / "world")


def of(world, role):
    site = world.site(role)
    return load.task(site.folder, site.config, site.plan)


def by_hand(world, role):
    """Features with a 1 behind, and classes, found without alx's sums."""
    with np.load(world.root / f"{role}.npz") as held:
        x, y = torch.from_numpy(held["train_images"]), held["train_labels"]
    with torch.no_grad():
        f = of(world, role).new_model().backbone(x).double().numpy()
    return np.hstack([f, np.ones((len(f), 1))]), np.eye(4)[y]


def told(bundle):
    return json.loads((bundle / "manifest.json").read_text())


@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_is_that_of_scikit_learn_on_pooled_features(bias):
    rng = np.random.default_rng(1)
    f, y = np.hstack([rng.normal(size=(90, 7)), np.ones((90, 1))]), np.eye(3)[rng.integers(3, size=90)]
    here, there = (
        Sums(torch.from_numpy(f[rows].T @ f[rows]), torch.from_numpy(f[rows].T @ y[rows]))
        for rows in (slice(40), slice(40, 90))
    )
    found = solve(Sums(here.second + there.second, here.by_class + there.by_class), 0.7, bias=bias)
    kept = f if bias else f[:, :-1]
    np.testing.assert_allclose(found.T, Ridge(alpha=0.7, fit_intercept=False).fit(kept, y).coef_, atol=1e-10)


def test_the_candidate_is_the_layer_of_both_sites_samples_and_is_chosen_where_classes_are_disjoint(played):
    (a, u), (b, v) = (by_hand(played, role) for role in ("learner", "provider"))
    whole = Ridge(alpha=0.5, fit_intercept=False).fit(np.vstack([a, b]), np.vstack([u, v])).coef_
    chosen = played.state("learner").position.selected[-1]
    assert chosen.label == "solved"
    (out,) = [c for c in told(played.bundle("provider"))["candidates"] if c.get("solved")]
    assert (out["step"], out["blend"], len(out["files"])) == (None, None, 1)
    with shelf.opened(played.state("learner"), played.state("learner").position.accepted[-1]) as bundle:
        state = from_flat(bundle.state(chosen.index), bundle.manifest.layout)
    got = np.hstack([state["fc.weight"].numpy(), state["fc.bias"].numpy()[:, None]])
    scale = float((got * whole).sum() / (whole * whole).sum())
    assert min(abs(scale - each) for each in SCALES) < 1e-5 * scale
    np.testing.assert_allclose(got, scale * whole, atol=1e-5 * scale)


def test_moments_are_in_the_learners_first_bundle_alone_and_hold_the_sums(played):
    first, reply = (told(played.bundle(role)) for role in ("learner", "provider"))
    assert (first["moments"]["features"], first["moments"]["classes"]) == (24, 4)
    assert "moments" not in reply
    assert not any("solved" in c for c in first["candidates"])
    assert not list((played.bundle("provider") / "data").glob("moments*"))
    key = PublicKey(load_private(played.folder("learner") / "key.pem").public_key())
    with carried.survey(played.bundle("learner")) as source:
        signed = signature.verify((played.bundle("learner") / "round.sig").read_bytes(), key)
        second, by_class = read.moments(source, signed, read.read_manifest(source, signed))
    f, y = by_hand(played, "learner")
    np.testing.assert_allclose(second, f.T @ f, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(by_class, f.T @ y, rtol=1e-6, atol=1e-6)
    assert by_class[-1].tolist() == [30, 30, 0, 0]


def test_an_audit_a_label_and_a_report_tell_of_both(played, sent, alx):
    out = alx("audit", played.bundle("learner"), "--key", played.folder("learner") / "public.pem").out
    assert "moments      sums of 24 features and of their products, by class, of 4 classes" in out
    out = alx("audit", played.bundle("provider"), "--key", played.folder("provider") / "public.pem").out
    assert "solved       1 with its weights" in out
    assert "second moments of its samples' features" in alx("audit", played.folder("learner")).out
    assert "second moments" not in alx("audit", played.folder("provider")).out
    assert "3 snapshots, second moments of 24 features" in sealed(sent.state("learner")).contents
    label = alx("label", played.bundle("learner"), "--key", played.folder("learner") / "public.pem").out
    assert "second moments of its samples' 24 features" in label
    assert "and second moments of its samples' 24 features" in alx("report", played.folder("learner"), "--json").out
    of_peer = alx("report", played.folder("provider"), "--json").out
    assert "and second moments of its samples'" not in of_peer  # in what left
    assert "the learner's bundle of round 1 holds second moments of its samples' features" in of_peer
    assert "solved" in alx("status", "--site", played.folder("learner")).out


def test_a_turn_that_ended_once_it_had_solved_goes_on_to_the_same_bytes_and_solves_no_more(sent, played):
    turn = _Turn.begin(sent.state("provider"), silent)
    turn.put_start()
    assert turn.solve() == ["solved"]
    before = (sent.folder("provider") / "work" / "solved.state").stat()
    turn.solve()
    assert (sent.folder("provider") / "work" / "solved.state").stat() == before
    bundle, whole = sent.turn("provider"), played.bundle("provider")
    assert told(bundle)["candidates"] == told(whole)["candidates"]
    for name in (name for c in told(whole)["candidates"] for name in c["files"]):
        assert (bundle / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("ridge = 0.5", 'ridge = 0.5\npersonal = ["fc.bias"]'), "personal"),
        (("batch_size = 8", 'batch_size = 8\nloss = "mse"'), 'loss = "mse"'),
        (("batch_size = 8", 'batch_size = 8\nselect_on = "validation"'), "validation"),
        (
            ("ridge = 0.5", "ridge = 0.5\n[privacy]\nepsilon = 8.0\ndelta = 1e-5\nclip = 1.0\nloss_clip = 2.0"),
            r"\[privacy\]",
        ),
        (("ridge = 0.5", "ridge = 0"), "ridge"),
    ],
)
def test_a_plan_that_it_does_not_fit_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        parse(PLAN.replace(*change).encode())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('freeze = ["backbone.*"]\n', ""), "solves for one linear layer"),
        (("net.py:build", "net.py:double"), "is not what gives the model's answer"),
    ],
)
def test_a_model_that_it_does_not_fit_is_refused(tmp_path, change, words):
    world = World(make(tmp_path / "world", PLAN.replace(*change)))
    with pytest.raises(ConfigError, match=words):
        of(world, "learner")


def test_features_that_are_not_finite_are_told_as_that_before_any_training(tmp_path):
    world = World(make(tmp_path / "world", PLAN.replace("net.py:build", "net.py:odd")))
    task = of(world, "learner")
    with pytest.raises(ConfigError, match="the features that the last layer gets are not all finite"):
        tellable(task, initial(world.site("learner"), task))


def test_a_penalty_below_rounding_is_refused_before_moments_leave_and_before_training(tmp_path):
    root = make(tmp_path / "world", PLAN.replace("ridge = 0.5", "ridge = 1e-6"))
    for role in ("learner", "provider"):
        with np.load(root / f"{role}.npz") as held:
            alike = {"train_images": np.full_like(held["train_images"], 1e7), "train_labels": held["train_labels"]}
        np.savez(root / f"{role}.npz", **alike)
    world = World(root)
    with pytest.raises(ConfigError, match="ridge is too small beside the features"):
        inspect(world.site("learner"))
    pair_world(world)
    with pytest.raises(ConfigError, match="ridge is too small beside the features"):
        train(world.state("learner"))
    assert not list((world.folder("learner") / "work").glob("t0*"))


def test_where_no_layer_could_be_solved_for_the_provider_is_told(sent, monkeypatch):
    monkeypatch.setattr("alx.tasks.head.solve", lambda *_, **__: None)
    assert not any(c.get("solved") for c in told(sent.turn("provider"))["candidates"])
    assert "3 snapshots, none solved for (no layer came out finite" in sealed(sent.state("provider")).contents


def test_a_check_counts_what_ridge_adds_to_the_first_bundle(tmp_path):
    world = World(make(tmp_path / "world"))
    # 24 features with a 1 behind, 4 classes: 25 x 4 and 25 x 26 / 2 sums of eight bytes; and one layer more
    for role, more in (("learner", 8 * (100 + 325)), ("provider", 400)):
        turn = inspect(world.site(role)).turn
        assert turn.nbytes == turn.snapshots * 400 + more


def test_a_class_of_few_samples_tells_no_moments(tmp_path):
    world = World(make(tmp_path / "world", PLAN + "[disclosure]\nleast = 31\n"))
    with pytest.raises(ConfigError, match="30 samples of class 0, whose moments"):
        introduce(world.state("learner"))
    with pytest.raises(ConfigError, match="30 samples of class 0, whose moments"):
        inspect(world.site("learner"))
    introduce(world.state("provider"))


def _sums():
    rng = np.random.default_rng(2)
    f = np.hstack([rng.normal(size=(20, 3)), np.ones((20, 1))])
    return f.T @ f, f.T @ np.eye(2)[rng.integers(2, size=20)]


@pytest.mark.parametrize(
    ("which", "place", "more", "words"),
    [
        ("by_class", (3, 0), 0.5, "count"),
        ("by_class", (3, 0), -30, "count"),
        ("by_class", (3, 0), 1, "samples, expected 20"),
        ("second", (3, 3), 1, "samples, expected 20"),
        ("second", (0, 0), -1e3, "a product is larger"),
        ("second", (0, 1), 1e9, "a product is larger"),
        ("by_class", (0, 0), 1e9, "a product is larger"),
        ("by_class", (0, 0), 0.1, "sums of the classes"),
        ("second", (0, 0), 1e101, "no sum of features"),
        ("second", np.s_[:3, :3], 1e3 * np.array([[9, 8, -8], [8, 9, 8], [-8, 8, 9]]), "squares below 0"),
        ("by_class", 0, np.array([12, -12]), "within the classes"),  # each below what its squares allow; together not
    ],
)
def test_sums_of_no_samples_are_refused(which, place, more, words):
    second, by_class = _sums()
    said = moments.Moments(features=3, classes=2, state="0" * 64, files=[])
    back = moments.unpacked(moments.packed(second, by_class), said, 20)
    np.testing.assert_array_equal(back[0], second)
    np.testing.assert_array_equal(back[1], by_class)
    {"second": second, "by_class": by_class}[which][place] += more
    with pytest.raises(MalformedError, match=words):
        moments.unpacked(moments.packed(second, by_class), said, 20)


@pytest.mark.parametrize("scale", [1e-45, 1e-3, 1.0, 1e4, 1e36])
@pytest.mark.parametrize(("samples", "counts"), [(5, (1, 4, 0)), (400, (1, 398, 1))])
def test_sums_of_samples_are_taken_whatever_the_scale_of_their_features(scale, samples, counts):
    rng = np.random.default_rng(4)
    f = (scale * (100 + rng.normal(size=(samples, 30)))).astype(np.float32).astype(np.float64)
    f[:, 7:] = f[:, 7:8]  # features that are one
    f[:, -1] = 1
    second, by_class = f.T @ f, f.T @ np.repeat(np.eye(3), counts, axis=0)
    said = moments.Moments(features=29, classes=3, state="0" * 64, files=[])
    np.testing.assert_array_equal(moments.unpacked(moments.packed(second, by_class), said, samples)[0], second)
