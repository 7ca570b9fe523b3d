"""No number of few samples leaves a site: the plan says how many are few, and a site may be stricter."""

import json

import numpy as np
import pytest

from alx.bundle import identity
from alx.cli.main import run
from alx.errors import ConfigError, PeerError, UsageError
from alx.plan import parse
from alx.report import summary
from alx.site import site_file
from alx.summary import Part, Summary
from tests.conftest import PLAN, make_world
from tests.forge import refused


def few(world, role, samples, kept=None):
    """A world whose data of that side are so few; `kept` for validation."""
    path = world.root / f"{role}.npz"
    arrays = {k: v[:samples] if k.startswith("train") else v for k, v in np.load(path).items()}
    if kept is not None:
        x = np.repeat(arrays["train_images"], kept, axis=0)[:kept]
        np.savez(world.root / "kept.npz", train_images=x, train_labels=np.resize(arrays["train_labels"], kept))
        (world.folder(role) / "site.toml").write_text(
            f'role = "{role}"\n[data]\nkind = "npz"\npath = "../{role}.npz"\nvalidation = "../kept.npz"\n'
        )
    np.savez(path, **arrays)


def identify(world, role="learner"):
    return ["identity", str(world.root / f"{role}.json"), "--site", str(world.folder(role))]


def stricter(world, role, least):
    with (world.folder(role) / "site.toml").open("a") as file:
        file.write(f"\n[disclosure]\nleast = {least}\n")


# DataSHIELD's nfilter.subset is 3; the rule of ten is ours where a plan says nothing
@pytest.mark.parametrize(("said", "least"), [("", 10), ("\n[disclosure]\nleast = 3\n", 3)])
def test_a_site_of_fewer_samples_than_the_plan_says_does_not_introduce_itself(tmp_path, capsys, said, least):
    world = make_world(tmp_path / "w", PLAN + said)
    few(world, "learner", least - 1)
    told = f"{least - 1} samples to sum losses over, expected {least} or more"
    refused(capsys, identify(world), ConfigError, told, hint="agree on a lower least")
    assert not (world.folder("learner") / "identity.json").exists()
    few(world, "provider", least)
    assert run(identify(world, "provider")) == 0


def test_check_says_that_samples_are_too_few_before_anybody_trains(tmp_path, alx):
    """The learner's data: 9 of three classes in training, and 10 kept apart, of which 7 are left here."""
    world = make_world(tmp_path / "w")
    few(world, "learner", 9)
    arrays = dict(np.load(world.root / "learner.npz"))
    kept = {name: arrays[name][:7] for name in ("test_images", "test_labels")}
    np.savez(world.root / "learner.npz", **arrays | kept)
    told = alx("check", "--site", world.folder("learner"))
    classes = ", ".join(f"{c}: {n}" for c, n in enumerate(np.bincount(arrays["train_labels"], minlength=3)) if n)
    refuse = "alx identity, train-local and export refuse; add data, or agree on a lower least"
    told_of = "it moves by jumps, and whoever is told of it learns of single ones"
    looks = [line for line in told.out.splitlines() if line.startswith("LOOK")]
    assert (told.code, looks[:2]) == (
        0,
        [
            f"LOOK: 9 samples to sum losses over, and [disclosure] asks for 10 or more: {refuse}",
            f"LOOK: 7 samples kept apart for a score, fewer than 10: {told_of}",
        ],
    )
    assert f"LOOK: fewer than 10 samples of a class: {classes}; a bundle tells more of these few" in told.out


@pytest.mark.parametrize(
    ("own", "kept", "shared", "told"),
    [
        (30, 9, False, ["9 samples to sum losses over"]),
        (18, 9, True, ["9 samples to sum losses over"]),
        (18, 10, True, ["8 samples to train on"]),
        (20, 10, True, []),
    ],
)
def test_samples_for_validation_are_counted_and_those_that_are_left_to_train_on(own, kept, shared, told):
    found = Summary("npz", (4,), Part(own), shared, Part(kept), None, {})
    looks = summary.looks(found, 10, "validation")
    assert [line.removeprefix("LOOK: ").partition(", and [disclosure]")[0] for line in looks] == told


def test_where_the_task_alone_knows_what_a_sample_is_one_will_do_unless_the_plan_says_more():
    own = PLAN.replace("seed = 3", 'seed = 3\nloss = "own"')
    assert parse(own.encode()).plan.least == 1
    assert parse((own + "[disclosure]\nleast = 4\n").encode()).plan.least == 4


def test_of_few_validation_samples_no_loss_is_signed_and_of_few_to_train_on_no_model_is_sent(tmp_path, capsys):
    plan = PLAN.replace("seed = 3", 'seed = 3\nselect_on = "validation"')
    world = make_world(tmp_path / "a", plan)
    few(world, "learner", 12, kept=9)
    refused(capsys, identify(world), ConfigError, "9 samples to sum losses over, expected 10 or more")
    world = make_world(tmp_path / "b", plan)
    few(world, "learner", 9, kept=12)
    refused(capsys, identify(world), ConfigError, "9 samples to train on, expected 10 or more")
    world = make_world(tmp_path / "c", plan)
    few(world, "learner", 12, kept=12)
    assert run(identify(world)) == 0


def test_a_peer_of_fewer_samples_than_the_plan_says_is_not_paired_with(stage, capsys):
    """Its alx was changed, or it would have refused itself."""
    world = stage("paired")
    (world.folder("learner") / "peer.json").unlink()
    theirs = identity.parse((world.disk / "provider.json").read_bytes()).file
    path = world.disk / "few.json"
    path.write_bytes(identity.of(theirs.model_copy(update={"samples": 9})).data)
    words = ["pair", str(path), "--yes", "--site", str(world.folder("learner"))]
    refused(capsys, words, PeerError, "the peer's losses are sums over 9 samples, expected 10 or more by the plan")
    assert not (world.folder("learner") / "peer.json").exists()


@pytest.mark.parametrize("step", ["identity", "pair", "train", "closing"])
def test_a_site_may_become_stricter_than_the_plan_at_any_time_and_then_signs_nothing(stage, capsys, step):
    world = stage("finished" if step == "closing" else "paired")
    site = str(world.folder("learner"))
    words = {
        "identity": identify(world),
        "pair": ["pair", str(world.disk / "provider.json"), "--yes", "--site", site],
        "train": ["train-local", "--site", site],
        "closing": ["export", str(world.disk), "--site", site],
    }[step]
    before, written = world.fingerprint("learner"), (world.folder("learner") / "site.toml").read_text()
    stricter(world, "learner", 41)
    refused(capsys, words, ConfigError, "40 samples to sum losses over, expected 41 or more")
    assert world.fingerprint("learner") == before
    (world.folder("learner") / "site.toml").write_text(written)
    stricter(world, "learner", 40)
    assert run(words) == 0


def test_a_site_is_no_laxer_than_the_plan(stage, capsys):
    world = stage("paired")
    stricter(world, "learner", 9)
    refused(
        capsys,
        ["train-local", "--site", str(world.folder("learner"))],
        ConfigError,
        "[disclosure] least is 9 in site.toml, expected 10 or more, which is the plan's",
    )
    config = world.site("learner").config
    assert "[disclosure]\nleast = 9\n" in site_file.text(config)


def test_a_description_hides_what_the_plan_and_the_site_say_and_no_less(stage, capsys):
    world = stage("paired")
    site, out = ["--site", str(world.folder("learner"))], world.root / "told.json"
    stricter(world, "learner", 12)
    refused(capsys, ["describe", str(out), "--least", "11", *site], UsageError, "--least 11 is below 12, which the plan or")
    assert run(["describe", str(out), *site]) == 0
    assert json.loads(out.read_text())["least"] == 12
    draft = world.root / "draft.toml"
    draft.write_text(PLAN + "\n[disclosure]\nleast = 3\n")
    data = ["--data", f"npz:{world.root}/learner.npz", "--plan", str(draft)]
    assert run(["describe", str(out), *data]) == 0
    assert json.loads(out.read_text())["least"] == 5  # what no rule for published tables goes below
