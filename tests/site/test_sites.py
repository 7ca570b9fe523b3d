"""Making a site, starting from given weights, plans that differ, exporting twice, tasks of one's own."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from alx import plan, turns
from alx.bundle import carried, keys, read
from alx.errors import ConfigError, TurnError
from alx.learning import state
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from alx.tasks import models
from tests.conftest import PLAN, make_world, pair_world

OWN_TASK = """
import torch
from torch import nn
from alx.tasks import LossSum, Task

class Climb:
    def __init__(self, model, rate):
        self.model, self.rate, self.taken = model, rate, 0

    def step(self):
        with torch.no_grad():
            self.model.weight += self.rate
        self.taken += 1
        return -float(self.model.weight.detach().sum())

    def state_dict(self):
        return {"taken": self.taken}

    def load_state_dict(self, saved):
        self.taken = saved["taken"]

def make_task(settings):
    rate = settings.plan.settings["rate"]
    return Task(
        new_model=lambda: nn.Linear(1, 1, bias=False),
        trainer=lambda model, seed: Climb(model, rate),
        measure=lambda model: LossSum(-100.0 - float(model.weight.detach().sum()), 2),
    )
"""


def decoded(bundle, key):
    with carried.survey(bundle) as source:
        signed = read.verify(source, read.claimed_key(source)[0], keys.load_public(key))
        manifest = read.read_manifest(source, signed)
        return manifest, [bytes(flat) for _, _, flat in read.states(source, signed, manifest)]


def weights(path, hidden=8):
    torch.manual_seed(99)
    model = models.mlp(4, 3, hidden)
    save_file(state.copied(model.state_dict()), path)
    return model


def test_the_learner_starts_from_given_weights(tmp_path):
    model = weights(tmp_path / "w.safetensors")
    world = make_world(tmp_path / "world")
    shutil.rmtree(world.folder("learner"))
    config = SiteFile(role="learner", data=Data(kind="npz", path="../learner.npz"))
    new.create(world.folder("learner"), config, world.root / "plan.toml", init=tmp_path / "w.safetensors")
    pair_world(world)
    manifest, states = decoded(world.turn("learner"), world.folder("learner") / "public.pem")
    expected = state.to_bytes(state.copied(model.state_dict()), [t.name for t in manifest.tensors])
    assert states[0] == expected


def test_given_weights_that_do_not_fit_the_model_are_refused_in_words(tmp_path, alx):
    weights(tmp_path / "w.safetensors", hidden=9)
    world = make_world(tmp_path / "world")
    made = alx(
        "init",
        tmp_path / "new",
        "--role",
        "learner",
        "--plan",
        world.root / "plan.toml",
        "--data",
        f"npz:{world.root / 'learner.npz'}",
        "--init",
        tmp_path / "w.safetensors",
    )
    assert made.code == 0, made.err
    told = alx("identity", tmp_path / "i.json", "--site", tmp_path / "new")
    assert told.code == 2
    assert "'0.weight' expected F32[8, 4], got F32[9, 4]" in told.err
    assert "\n" not in told.err.split("hint:")[0].strip()


def test_given_weights_are_the_learners_only(tmp_path, alx):
    weights(tmp_path / "w.safetensors")
    world = make_world(tmp_path / "world")
    told = alx(
        "init",
        tmp_path / "new",
        "--role",
        "provider",
        "--plan",
        world.root / "plan.toml",
        "--init",
        tmp_path / "w.safetensors",
    )
    assert told.code == 2
    assert not (tmp_path / "new").exists()


def test_a_plan_that_differs_is_refused_with_the_fields_that_do(tmp_path, alx):
    ours, theirs = make_world(tmp_path / "a"), make_world(tmp_path / "b", PLAN.replace("lr = 0.01", "lr = 0.02"))
    for world, role in ((ours, "learner"), (theirs, "provider")):
        assert alx("identity", tmp_path / f"{role}.json", "--site", world.folder(role)).code == 0
    told = alx("pair", tmp_path / "provider.json", "--yes", "--site", ours.folder("learner"))
    assert told.code == 15
    assert "optimiser.lr: here 0.01, there 0.02" in told.err
    assert "seed" not in told.err


def test_a_plan_with_the_same_values_in_other_bytes_is_refused_as_such(tmp_path, alx):
    ours, theirs = make_world(tmp_path / "a"), make_world(tmp_path / "b", "# a comment\n" + PLAN)
    for world, role in ((ours, "learner"), (theirs, "provider")):
        assert alx("identity", tmp_path / f"{role}.json", "--site", world.folder(role)).code == 0
    told = alx("pair", tmp_path / "provider.json", "--yes", "--site", ours.folder("learner"))
    assert told.code == 15
    assert "other bytes" in told.err


def test_two_plans_that_differ_in_the_order_of_rules_or_in_a_kind_of_number_say_so():
    rules = PLAN.replace("hidden = 8 }", "hidden = 8 }\ninit = { names = { NAMES } }")
    names = '"a.*" = "b.*"', '"*" = "c.*"'
    ours, theirs = (plan.parse(rules.replace("NAMES", ", ".join(each)).encode()).plan for each in (names, names[::-1]))
    assert plan.differences(ours, theirs) == ["model.init.names: here ['a.*', '*'], there ['*', 'a.*']"]
    one, real, true = (
        plan.parse(PLAN.replace("hidden = 8", f"hidden = 8, wide = {text}").encode()).plan for text in ("1", "1.0", "true")
    )
    assert plan.differences(one, real) == ["model.arguments.wide: here 1, there 1.0"]
    assert plan.differences(one, true) == ["model.arguments.wide: here 1, there True"]
    assert plan.differences(one, plan.parse(PLAN.encode()).plan) == ["model.arguments.wide: here 1, there nothing"]


def test_a_models_source_file_that_differs_is_refused(tmp_path, alx):
    text = PLAN.replace("alx.tasks.models:mlp", "net.py:mlp")
    source = "from alx.tasks.models import mlp\n"
    for name, more in (("a", ""), ("b", "# changed\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(source + more)
        (tmp_path / name / "plan.toml").write_text(text)
        world = make_world(tmp_path / f"{name}-data")
        role = {"a": "learner", "b": "provider"}[name]
        made = alx(
            "init",
            tmp_path / role,
            "--role",
            role,
            "--plan",
            tmp_path / name / "plan.toml",
            "--data",
            f"npz:{world.root / role}.npz",
        )
        assert made.code == 0, made.err
        assert alx("identity", tmp_path / f"{role}.json", "--site", tmp_path / role).code == 0
    told = alx("pair", tmp_path / "provider.json", "--yes", "--site", tmp_path / "learner")
    assert told.code == 15
    assert "source file differs" in told.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "tiny"', 'name = "tiny"\ncolour = 3', "colour: extra inputs"),
        ("rounds = 2", "rounds = 0", "rounds: input should be greater than or equal to 1"),
        ("rounds = 2", 'rounds = "2"', "rounds: input should be a valid integer"),
        ('name = "adam"', 'name = "adam"\nmomentum = 0.9', "adam has no option momentum"),
        ("seed = 3", "seed = 3\nseed = 4", "is not TOML"),
        ("lr = 0.01", "lr = nan", "optimiser.lr"),
        ('name = "adam"', 'name = "sgd"\nmomentum = nan', "optimiser.momentum: input should be a finite number"),
        ('name = "adam"', 'name = "adam"\neps = inf', "optimiser.eps: input should be a finite number"),
        ("seed = 3", "seed = 3\nimages = { size = [4, 4], std = [inf] }", "images.std.0: input should be a finite number"),
        ("seed = 3", "seed = " + "9" * 5000, "is not TOML"),
    ],
)
def test_a_plan_that_cannot_be_used_says_which_field(old, new, said):
    with pytest.raises(ConfigError) as caught:
        plan.parse(PLAN.replace(old, new).encode())
    assert said in caught.value.message


def test_steps_are_shared_in_proportion_or_fixed():
    shared = plan.parse(PLAN.replace("round_steps = 12", "round_steps = 2000").encode()).plan
    sizes = {2500: 182, 9250: 540, 18250: 844, 25000: 1000}  # the paper's splits of CIFAR-10, gamma_L = 0, .3, .7, 1
    for own, steps in sizes.items():
        assert shared.steps("learner", own, 25000) == steps
        assert shared.steps("provider", 25000, own) == 2000 - steps
    assert shared.steps("learner", 1, 1_000_000) == 1
    fixed = plan.parse(PLAN.replace("round_steps = 12", "round_steps = {learner = 3, provider = 9}").encode()).plan
    assert (fixed.steps("learner", 5, 5), fixed.steps("provider", 5, 5)) == (3, 9)


def test_exporting_again_onto_a_second_disk_gives_the_same_bytes(stage, alx):
    world = stage("sent")
    second = world.root / "second"
    second.mkdir()
    assert alx("export", second, "--site", world.folder("learner")).code == 0
    (copy,) = second.iterdir()
    first = {
        p.relative_to(world.bundle("learner")): p.read_bytes() for p in world.bundle("learner").rglob("*") if p.is_file()
    }
    assert first == {p.relative_to(copy): p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    again = alx("export", second, "--site", world.folder("learner"), "--json")
    assert json.loads(again.out)["again"] is True
    assert [e.line.kind for e in world.state("learner").entries].count("exported") == 3


def test_a_task_of_ones_own_with_losses_of_any_sign_goes_through_a_round(tmp_path, alx):
    (tmp_path / "task.py").write_text(OWN_TASK)
    text = PLAN[: PLAN.index("[model]")].replace("seed = 3", 'seed = 3\nloss = "own"') + "[settings]\nrate = 0.5\n"
    (tmp_path / "plan.toml").write_text(text)
    (tmp_path / "disk").mkdir()
    for role in ("learner", "provider"):
        words = ["--role", role, "--plan", tmp_path / "plan.toml", "--task", tmp_path / "task.py"]
        assert alx("init", tmp_path / role, *words).code == 0
        assert "fit" in alx("check", "--site", tmp_path / role).out
        assert alx("identity", tmp_path / f"{role}.json", "--site", tmp_path / role).code == 0
    for role, other in (("learner", "provider"), ("provider", "learner")):
        assert alx("pair", tmp_path / f"{other}.json", "--yes", "--site", tmp_path / role).code == 0
    for sender, receiver in (("learner", "provider"), ("provider", "learner")):
        assert alx("train-local", "--site", tmp_path / sender).code == 0
        told = alx("export", tmp_path / "disk", "--site", tmp_path / sender, "--json")
        done = alx("import-and-select", json.loads(told.out)["bundle"], "--site", tmp_path / receiver, "--json")
        assert done.code == 0, done.err
        body = json.loads(done.out)["selection"]
        assert body["global_loss"] < -200
        assert body["label"] != "t=0"


def test_what_was_agreed_on_is_not_changed_behind_the_peers_back(stage, alx):
    """A plan edited after pairing is noticed by its own site, before anything is trained, imported or told to be good."""
    world = stage("sent")
    path = world.folder("provider") / "plan.toml"
    path.write_text(path.read_text().replace("lr = 0.01", "lr = 0.02"))
    for words in (["import-and-select", world.bundle("learner")], ["audit"]):
        site = [world.folder("provider")] if words == ["audit"] else ["--site", world.folder("provider")]
        told = alx(*words, *site)
        assert told.code == 2
        assert "plan.toml was changed after" in told.err


def test_a_models_source_edited_after_pairing_is_noticed(tmp_path, alx):
    (tmp_path / "net.py").write_text("from alx.tasks.models import mlp\n")
    (tmp_path / "plan.toml").write_text(PLAN.replace("alx.tasks.models:mlp", "net.py:mlp"))
    data = make_world(tmp_path / "data").root
    for role in ("learner", "provider"):
        words = ["--role", role, "--plan", tmp_path / "plan.toml", "--data", f"npz:{data / role}.npz"]
        assert alx("init", tmp_path / role, *words).code == 0
        assert alx("identity", tmp_path / f"{role}.json", "--site", tmp_path / role).code == 0
    assert alx("pair", tmp_path / "provider.json", "--yes", "--site", tmp_path / "learner").code == 0
    with (tmp_path / "learner" / "net.py").open("a") as file:
        file.write("# another activation\n")
    told = alx("train-local", "--site", tmp_path / "learner")
    assert told.code == 2
    assert "the model's source file was changed after" in told.err


def test_a_plan_whose_turns_no_bundle_could_hold_is_refused_at_pairing(tmp_path, alx):
    world = make_world(
        tmp_path / "w", PLAN.replace("round_steps = 12", "round_steps = 20000").replace("_period = 2", "_period = 1")
    )
    for role in ("learner", "provider"):
        assert alx("identity", tmp_path / f"{role}.json", "--site", world.folder(role)).code == 0
    told = alx("pair", tmp_path / "provider.json", "--yes", "--site", world.folder("learner"))
    assert told.code == 2
    assert "lengthen sampling_period" in told.err


TAMPERED = """
import dataclasses
from alx.site.site_file import Data, SiteFile
from alx.tasks import LossSum, load

def make_task(s):
    config = SiteFile(role="provider", data=Data(kind="npz", path="../provider.npz"))
    return dataclasses.replace(load.task(s.folder, config, s.plan), CHANGE)
"""


def tamper(world, change):
    """Make the provider's task another one, as a user's faulty code would."""
    folder = world.folder("provider")
    (folder / "task.py").write_text(TAMPERED.replace("CHANGE", change))
    (folder / "site.toml").write_text('role = "provider"\ntask = "task.py"\n')


def test_a_bundle_whose_own_loss_is_finite_nowhere_is_refused_and_changes_nothing(stage, alx):
    world = stage("sent")
    before = world.fingerprint("provider")
    config = (world.folder("provider") / "site.toml").read_text()
    tamper(world, "measure=lambda model: LossSum(float('inf'), 60), sample_losses=None")
    told = alx("import-and-select", world.bundle("learner"), "--site", world.folder("provider"))
    assert told.code == 13
    assert "at every candidate" in told.err
    assert world.fingerprint("provider") == before
    (world.folder("provider") / "site.toml").write_text(config)
    assert alx("import-and-select", world.bundle("learner"), "--site", world.folder("provider")).code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("sample_losses=lambda models, indices: None", "sample_losses is a function, expected SampleLosses(count, of)"),
        ("measure=lambda model: LossSum(123.0, 60)", "the task's measure gives 123 for 60 samples, and its sample_losses"),
    ],
    ids=["no SampleLosses", "those of another measure"],
)
def test_sample_losses_that_are_not_the_terms_of_measure_are_refused_before_a_site_is_introduced(stage, alx, change, said):
    world = stage("paired")
    tamper(world, change)
    told = alx("identity", world.root / "again.json", "--site", world.folder("provider"))
    assert (told.code, said in told.err) == (2, True), told.err


def test_a_held_out_score_that_is_not_finite_is_told_and_recorded(stage, alx):
    world = stage("sent")
    tamper(world, "held_out=lambda model: float('nan')")
    told = alx("import-and-select", world.bundle("learner"), "--site", world.folder("provider"))
    assert told.code == 0, told.err
    assert "not finite" in told.out
    body = world.state("provider").position.selected[-1]
    assert (body.scored, body.held_out) == (True, None)


def test_export_of_a_turn_that_was_answered_already_is_refused(stage, alx):
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    told = alx("export", world.disk, "--site", world.folder("learner"))
    assert told.code == 16
    assert "next: alx train-local" in told.err


@pytest.mark.parametrize(
    "words",
    [
        ["--held-out", "x.npz"],
        ["--data", "npz:nowhere.npz"],
        ["--data", "npz:"],
        ["--data", "parquet:x"],
        ["--task", "key.pem"],
        ["--task", "TASK", "--data", "npz:DATA"],
    ],
    ids=" ".join,
)
def test_options_of_init_that_cannot_be_meant_are_refused(words, stage, alx, tmp_path):
    world = stage("paired")
    (tmp_path / "task.py").write_text(OWN_TASK)
    given = [w.replace("TASK", str(tmp_path / "task.py")).replace("DATA", str(world.root / "learner.npz")) for w in words]
    told = alx("init", tmp_path / "new", "--role", "learner", "--plan", world.root / "plan.toml", *given)
    assert told.code == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda path, found: save_file(found | {"net.0.bias": torch.zeros(9)}, path),
            "'net.0.bias' expected nothing, got F32[9]",
        ),
        (lambda path, _found: save_file({"0.bias": torch.zeros(8)}, path), "expected F32[8, 4], got nothing"),
        (lambda path, found: save_file(found | {"0.bias": torch.full((8,), float("nan"))}, path), "'0.bias' of the initial"),
        (lambda path, _found: path.write_bytes(path.read_bytes()[:-9]), "is no safetensors file that can be read"),
        (lambda path, _found: path.write_bytes(b""), "is no safetensors file that can be read"),
    ],
)
@pytest.mark.parametrize("command", ["check", "identity"])
def test_given_weights_that_do_not_fit_are_told_by_the_check_too(command, spoil, said, tmp_path, alx):
    world = make_world(tmp_path)
    words = [*([tmp_path / "i.json"] if command == "identity" else []), "--site", world.folder("learner")]
    path = world.folder("learner") / "init.safetensors"
    save_file(models.mlp(4, 3, 8).state_dict(), path)
    assert alx(command, *words).code == 0
    spoil(path, models.mlp(4, 3, 8).state_dict())
    told = alx(command, *words)
    assert told.code == 2
    assert said in told.err


@pytest.mark.parametrize("body", ["raise OSError('gone')", "return 3.0", "return LossSum(float('nan'), 0) / 2"])
def test_a_users_code_that_raises_is_told_in_words(body, tmp_path, alx):
    text = OWN_TASK.replace(
        "measure=lambda model: LossSum(-100.0 - float(model.weight.detach().sum()), 2)", "measure=broken"
    )
    (tmp_path / "task.py").write_text(f"from alx.tasks import LossSum\ndef broken(model):\n    {body}\n{text}")
    plan_text = PLAN[: PLAN.index("[model]")].replace("seed = 3", 'seed = 3\nloss = "own"') + "[settings]\nrate = 0.5\n"
    (tmp_path / "plan.toml").write_text(plan_text)
    words = ["--role", "learner", "--plan", tmp_path / "plan.toml", "--task", tmp_path / "task.py"]
    assert alx("init", tmp_path / "s", *words).code == 0
    told = alx("identity", tmp_path / "i.json", "--site", tmp_path / "s")
    assert told.code == 2
    assert "measure" in told.err


def test_changed_data_are_noticed_before_a_bundle_is_made_of_them(stage, alx):

    world = stage("paired")
    with np.load(world.root / "learner.npz") as arrays:
        held = dict(arrays)
    np.savez(world.root / "learner.npz", **(held | {n: held[n][:-1] for n in ("train_images", "train_labels")}))
    told = alx("train-local", "--site", world.folder("learner"))
    assert told.code == 2
    assert "40 samples then, 39 now" in told.err
    assert not list((world.folder("learner") / "outbox").iterdir())
    with pytest.raises(TurnError):
        turns.introduce(world.state("learner"))


def test_a_task_whose_model_changed_after_pairing_is_refused_with_its_tensors(stage, alx):
    world = stage("sent")
    tamper(world, "new_model=lambda: __import__('alx.tasks.models', fromlist=['x']).mlp(4, 3, 9)")
    told = alx("import-and-select", world.bundle("learner"), "--site", world.folder("provider"))
    assert told.code == 17
    assert "'0.weight' expected F32[8, 4], got F32[9, 4]" in told.err


def test_the_peers_identity_file_is_not_overwritten(stage, alx):
    world = stage("paired")
    before = (world.disk / "provider.json").read_bytes()
    told = alx("identity", world.disk / "provider.json", "--site", world.folder("learner"))
    assert told.code == 2
    assert (world.disk / "provider.json").read_bytes() == before
    assert alx("identity", world.disk / "learner.json", "--site", world.folder("learner")).code == 0


def test_an_identity_file_serves_as_the_key_of_an_audit(stage, alx):
    world = stage("sent")
    assert alx("audit", world.bundle("learner"), "--key", world.disk / "learner.json").code == 0
    assert alx("audit", world.bundle("learner"), "--key", world.disk / "provider.json").code == 11


def test_alx_alone_shows_its_help(alx):
    told = alx()
    assert "import-and-select" in told.err
    assert "error" not in told.err
