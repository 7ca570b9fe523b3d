"""The commands that look at data: `alx init`, `alx check` and `alx describe`, and what they refuse."""

import hashlib
import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from alx import plan
from alx.bundle.description import Description
from alx.errors import ConfigError, TrustError, UsageError
from alx.site import events
from alx.turns import inspection
from tests.conftest import PLAN, make_world, pair_world
from tests.forge import refused
from tests.site.test_sites import OWN_TASK

TABLE = """\
name = "ward"
rounds = 2
round_steps = 12
batch_size = 8

[optimiser]
name = "sgd"

[model]
source = "alx.tasks.models:mlp"
arguments = { inputs = 3, classes = 2, hidden = 4 }

[columns]
label = "sick"
classes = ["no", "yes"]

[columns.numeric.age]
mean = 50
std = 10

[columns.categorical.ward]
values = ["a", "b"]
"""


def ward(folder, rows=60, sick=12, spoil=""):
    """A table: the first are sick, ages 20, 20, 20, … 21, … three of each, the last nine in ward b."""
    lines = ["sick,age,ward"]
    lines += [f"{'yes' if i < sick else 'no'},{20 + i // 3},{'b' if i >= rows - 9 else 'a'}" for i in range(rows)]
    (folder / "ward.csv").write_text("\n".join([*lines, *spoil.splitlines()]) + "\n")
    (folder / "plan.toml").write_text(TABLE)
    return ["--plan", folder / "plan.toml", "--data", f"csv:{folder}/ward.csv"]


# --- init


def test_init_says_what_it_saw(tmp_path, alx):
    words = ward(tmp_path)
    told = alx("init", tmp_path / "a", "--role", "learner", *words)
    assert told.code == 0, told.err
    assert told.out.splitlines()[1:3] == ["60 samples", "classes: no: 48, yes: 12"]
    seen = json.loads(alx("init", tmp_path / "b", "--role", "learner", *words, "--json").out)["data"]
    assert seen["own"] == {"samples": 60, "classes": {"no": 48, "yes": 12}}
    assert seen["columns"]["age"] == {"numbers": 60, "missing": 0, "least": 20, "median": 29, "most": 39} | {
        "constant": False,
        "far": 0,
    }
    (tmp_path / "task.py").write_text(OWN_TASK)
    told = alx("init", tmp_path / "c", "--role", "learner", *words[:2], "--task", tmp_path / "task.py")
    assert "the data were not looked at: a task of your own brings them" in told.out


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("no,41,c", "'ward.csv' line 62: 'c' is no value of column 'ward' in the plan"),
        ("no,,a", "'ward.csv' line 62: column 'age' is empty"),
        ("no,4l,a", "'ward.csv' line 62: '4l' in column 'age' is no number"),
        ("maybe,41,a", "'ward.csv' line 62: 'maybe' in column 'sick' is no class of the plan"),
    ],
)
def test_data_that_cannot_be_used_are_refused_by_init_and_leave_nothing_behind(tmp_path, capsys, spoil, said):
    words = ward(tmp_path, spoil=spoil)
    before = sorted(tmp_path.rglob("*"))
    refused(capsys, ["init", str(tmp_path / "new"), "--role", "learner", *map(str, words)], ConfigError, said)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_that_cannot_take_the_columns_is_refused_by_init(tmp_path, capsys):
    words = ward(tmp_path)
    (tmp_path / "plan.toml").write_text(TABLE.replace("inputs = 3", "inputs = 11"))
    hint = "the plan's [columns] make 3 inputs, and [model] says inputs = 11"
    command = ["init", str(tmp_path / "a"), "--role", "learner", *map(str, words)]
    refused(capsys, command, ConfigError, "the model cannot take 'ward.csv', inputs of shape [1, 3]", hint=hint)
    assert not (tmp_path / "a").exists()


def test_check_refuses_a_plan_that_was_changed_after_it_was_agreed_on(stage, capsys):
    world = stage("paired")
    plan = world.folder("learner") / "plan.toml"
    plan.write_text(plan.read_text() + "\n# another\n")
    refused(
        capsys, ["check", "--site", str(world.folder("learner"))], ConfigError, "plan.toml was changed after it was agreed"
    )


def test_labels_that_the_loss_cannot_take_are_refused_by_init(tmp_path, capsys):
    (tmp_path / "plan.toml").write_text(PLAN)
    np.savez(tmp_path / "own.npz", train_images=np.zeros((3, 4)), train_labels=[0, 1, -1])
    words = ["init", tmp_path / "new", "--role", "learner", "--plan", tmp_path / "plan.toml", "--data"]
    said = "sample 2 of 'own.npz' (counted from 0) has the label -1, expected a class number, 0 or more"
    refused(capsys, [*map(str, words), f"npz:{tmp_path}/own.npz"], ConfigError, said)
    assert not (tmp_path / "new").exists()


def test_what_else_is_wrong_is_told_before_the_data_are_read(tmp_path, capsys):
    words = ward(tmp_path, spoil="no,,a")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    refused(capsys, ["init", str(tmp_path / "there"), "--role", "learner", *map(str, words)], UsageError, "is not empty")


# --- check


def test_check_says_what_it_saw_and_what_a_turn_takes(stage, alx, capsys):
    world = stage("paired")
    told = json.loads(alx("check", "--site", world.folder("learner"), "--json").out)
    assert (told["fit"], told["found"]) == (True, [])
    assert told["data"]["own"]["samples"] == 40
    assert sum(told["data"]["own"]["classes"].values()) == 40
    assert told["data"]["held_out"]["samples"] == 10
    with np.load(world.root / "learner.npz") as arrays:
        found = told["data"]["columns"]["train_images[:, 2]"]
        assert (found["least"], found["most"]) == (arrays["train_images"][:, 2].min(), arrays["train_images"][:, 2].max())
    # 4 inputs, twice 8 hidden, 3 classes: (4 + 1) x 8 + (8 + 1) x 8 + (8 + 1) x 3 = 139 numbers of four bytes
    model = told["model"]
    assert (model["parameters"], model["trained"], model["buffers"], model["state_bytes"]) == (139, 139, 0, 556)
    assert model["step_seconds"] > 0
    assert model["peak_bytes"] > 50_000_000  # Python and torch alone
    # 12 steps, of which 40 samples of 100 have 5: snapshots at 0, 2, 4 and 5
    assert told["turn"] == {"steps": 5, "exact": True, "snapshots": 4, "bytes_at_most": 4 * 556, "training": []}
    said = alx("check", "--site", world.folder("learner")).out.splitlines()
    assert said[0] == "40 samples, and 10 kept apart for a score"
    assert "model: 139 parameters, all of them trained; 556 B in 6 tensors travel" in said
    assert said[-1] == "the task is fit, and the data are those of pairing"
    with np.load(world.root / "learner.npz") as arrays:
        changed = dict(arrays)
    changed["train_labels"] = (changed["train_labels"] + 1) % 3
    np.savez(world.root / "learner.npz", **changed)
    words = "the task is not fit: the data changed since pairing: as many samples as then, and other values or labels"
    refused(capsys, ["check", "--site", str(world.folder("learner"))], ConfigError, words)
    assert json.loads(alx("check", "--site", world.folder("learner"), "--json").out)["fit"] is False


def test_what_was_not_compared_with_pairing_is_not_said_to_be(stage, alx):
    folder = stage("paired").folder("learner")
    (folder / "data.sha256").unlink()  # as in a site out of a backup of before it was kept
    assert alx("check", "--site", folder).out.splitlines()[-1] == "the task is fit"


def test_before_pairing_a_task_is_fit_for_a_first_round(tmp_path, alx):
    world = make_world(tmp_path / "w")
    assert alx("check", "--site", world.folder("learner")).out.splitlines()[-1] == "the task is fit for a first round"


def test_before_pairing_a_turn_has_at_most_all_steps_of_a_round(tmp_path, alx):
    words = ward(tmp_path)
    assert alx("init", tmp_path / "s", "--role", "learner", *words).code == 0
    turn = json.loads(alx("check", "--site", tmp_path / "s", "--json").out)["turn"]
    assert (turn["steps"], turn["exact"], turn["snapshots"]) == (12, False, 3)
    assert "a turn: its share by samples of 12 steps, at most" in alx("check", "--site", tmp_path / "s").out


def test_check_says_what_training_makes_of_a_turn(tmp_path, alx):
    lines = (
        'schedule = { name = "cosine", warmup = 8 }\naccumulate = 2\nno_decay = ["*.bias"]\npatience = 2\nvalidations = 4\n'
    )
    text = PLAN.replace("seed = 3", 'seed = 3\nselect_on = "validation"').replace(
        "lr = 0.01", "lr = 0.01\nweight_decay = 0.1"
    )
    world = make_world(tmp_path / "w", f"{text}\n[training]\n{lines}\n[disclosure]\nleast = 1\n")
    before = alx("check", "--site", world.folder("learner")).out
    assert "learning rate: cosine, at most 0.01, rising over the first 8 steps\n" in before
    assert "a step takes at most 2 batches of 8, and ends with the epoch\n" in before
    assert "the turn is validated every 3 steps; after 2 without a lower loss it ends\n" in before
    pair_world(world)
    turn = json.loads(alx("check", "--site", world.folder("learner"), "--json").out)["turn"]
    assert turn["steps"] == 5  # of 12: a tenth of each class is kept for validation, 5 of 40 samples here and 6 of 60 there
    assert "LOOK: the warm-up is as long as the turn, so the learning rate never comes to 0.01" in turn["training"]


@pytest.mark.parametrize(
    ("steps", "validations", "patience", "said"),
    [
        (12, 4, 3, ["every 3 steps", "LOOK: the turn has 4 validations, so 3 without a lower loss never end it"]),
        (11, 10, 6, ["every 2 steps", "LOOK: the turn has 6 validations, so 6 without a lower loss never end it"]),
        (11, 10, 5, ["every 2 steps", "LOOK: the turn has 6 validations, so 5 without a lower loss never end it"]),
        (11, 10, 4, ["every 2 steps; after 4 without a lower loss it ends"]),
    ],
)
def test_a_turn_that_no_patience_can_end_deserves_a_look(steps, validations, patience, said):
    text = PLAN.replace("round_steps = 12", f"round_steps = {steps}").replace(
        "seed = 3", 'seed = 3\nselect_on = "validation"'
    )
    agreed = plan.parse(f"{text}\n[training]\nvalidations = {validations}\npatience = {patience}\n".encode()).plan
    found = inspection._training(agreed, steps, agreed.training, None)
    assert found == [f"the turn is validated {said[0]}", *said[1:]]


def test_a_step_of_more_samples_than_there_are_deserves_a_look(tmp_path, alx):
    world = make_world(tmp_path / "w", f"{PLAN}\n[training]\naccumulate = 6\n")  # 48 of 40
    said = alx("check", "--site", world.folder("learner")).out
    look = "LOOK: that is more than the 40 samples to train on, so each step is a whole epoch"
    assert f"a step takes at most 6 batches of 8, and ends with the epoch\n{look}\n" in said


def test_a_pattern_that_no_parameter_has_is_told_before_anybody_is_introduced(tmp_path, capsys):
    text = PLAN.replace("lr = 0.01", "lr = 0.01\nweight_decay = 0.1") + '\n[training]\nno_decay = ["9.bias"]\n'
    folder = make_world(tmp_path / "w", text).folder("learner")
    for name in ("identity", "check"):
        words = "[training] no_decay in the plan has '9.bias', and no parameter"
        refused(capsys, [name, "--site", str(folder)], ConfigError, words, hint="nearest: '")


def test_check_of_a_task_of_ones_own_tells_what_can_be_known(tmp_path, alx):
    (tmp_path / "task.py").write_text(OWN_TASK)
    text = PLAN[: PLAN.index("[model]")].replace("seed = 3", 'seed = 3\nloss = "own"') + "[settings]\nrate = 0.5\n"
    (tmp_path / "plan.toml").write_text(text)
    words = ["--role", "learner", "--plan", tmp_path / "plan.toml", "--task", tmp_path / "task.py"]
    assert alx("init", tmp_path / "s", *words).code == 0
    told = json.loads(alx("check", "--site", tmp_path / "s", "--json").out)
    assert (told["fit"], told["data"], told["looks"]) == (True, None, [])
    assert told["model"]["state_bytes"] > 0
    assert "it alone knows its data" in alx("check", "--site", tmp_path / "s").out


# --- describe


def test_a_description_is_what_the_screen_says_and_needs_no_site(tmp_path, alx, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ward(tmp_path)
    told = alx("describe", "ward.json", *words)
    assert told.code == 0, told.err
    digest = hashlib.sha256(TABLE.encode()).hexdigest()
    # ages: 9 of 60 lie in ward b, so ward a is hidden with it; ten rows share an age to the nearest 5
    assert json.loads((tmp_path / "ward.json").read_text()) == {
        "format": "alx-description",
        "version": 1,
        "plan": digest,
        "least": 10,
        "samples": 60,
        "shape": [3],
        "labels": {"classes": {"no": 48, "yes": 12}},
        "columns": {
            "age": {"missing": 0, "quantiles": {"0.25": 25.0, "0.5": 30.0, "0.75": 35.0}},
            "ward": {"missing": 0, "values": {"a": "hidden", "b": "few"}},
        },
    }
    assert told.out.splitlines() == [
        "wrote 'ward.json', and this is all that stands in it:",
        f"  plan {digest}",
        "  60 samples, each of shape 3; counts below 10 are not told",
        "  classes: no: 48, yes: 12",
        "  column 'age': 0 missing; about 25 (25%), 30 (50%), 35 (75%)",
        "  column 'ward': 0 missing: a: hidden, b: fewer than 10",
        "hidden: a count below 10 would follow from it, or there are too few rows to tell any",
        "about 3 (5%): 5% are at most 3, rounded so that at least 10 rows have that number",
        "nothing was sent: read it, take out what you would rather not tell, and carry it yourself",
    ]
    schema = Description.model_json_schema()
    Draft202012Validator(schema).validate(json.loads((tmp_path / "ward.json").read_text()))
    told = json.loads(alx("describe", *words, "--json", "--least", "20").out)["description"]
    assert told["labels"] == {"classes": {"no": "hidden", "yes": "hidden"}}
    assert (tmp_path / "description.json").is_file()


def test_a_site_records_that_it_described_its_data_and_to_what_file(stage, alx):
    world = stage("sent")
    site = world.folder("learner")
    out = world.root / "told.json"
    assert alx("describe", out, "--site", site).code == 0
    record = events.read(site / "events.sqlite")[-1].record
    assert record == ("told.json", hashlib.sha256(out.read_bytes()).hexdigest(), 10)
    assert "described    in 'told.json', digest" in alx("audit", site).out
    assert json.loads(out.read_text())["samples"] == 40  # and nothing of the ten kept apart
    assert not [p for p in site.rglob("*") if p.is_file() and p.read_bytes() == out.read_bytes()]
    assert not [p for p in world.disk.rglob("*") if p.is_file() and b"alx-description" in p.read_bytes()]


def test_a_second_description_that_tells_something_else_is_a_look(stage, alx):
    """Of 200, 14, 12 and 4 a least of 10 tells 14 and 12, and one of 20 tells 200: so of 230 samples 4 are left."""
    world = stage("paired")
    words = ["describe", world.root / "told.json", "--site", world.folder("learner")]
    assert "LOOK" not in alx(*words).out
    assert "LOOK" not in alx(*words).out
    look = "LOOK: 'told.json' told of these data otherwise (least 10): from two descriptions counts can follow"
    assert look in alx(*words, "--least", "20").out
    assert "LOOK: 'told.json' told of these data otherwise (least 20)" in alx(*words, "--json").err


def test_classes_that_the_plan_does_not_name_are_those_of_its_model(stage, alx):
    """Else the list of classes would be one that was taken from the labels, and tell of each rare one that it is there."""
    world = stage("paired")
    with np.load(world.root / "learner.npz") as arrays:
        held = dict(arrays)
    held["train_labels"] = np.array([0] * 20 + [1] * 20)
    np.savez(world.root / "learner.npz", **held)
    assert alx("describe", world.root / "a.json", "--site", world.folder("learner")).code == 0
    told = json.loads((world.root / "a.json").read_text())["labels"]
    assert told == {"classes": {"0": "hidden", "1": "hidden", "2": "hidden"}}
    words = ["--plan", world.root / "draft.toml", "--data", f"npz:{world.root}/learner.npz"]
    (world.root / "draft.toml").write_text(PLAN[: PLAN.index("[model]")])
    told = alx("describe", world.root / "b.json", *words)
    assert "labels: nothing is told, as the plan does not say which classes there are" in told.out
    assert json.loads((world.root / "b.json").read_text())["labels"] == {}


def test_what_is_no_description_is_not_overwritten_and_an_edited_one_is(tmp_path, alx, capsys):
    words = [str(w) for w in ward(tmp_path)]
    (tmp_path / "thesis.json").write_text("{}")
    refused(capsys, ["describe", str(tmp_path / "thesis.json"), *words], UsageError, "exists, and is no description")
    out = tmp_path / "told.json"
    assert alx("describe", out, *words).code == 0
    told = json.loads(out.read_text())
    del told["columns"]["ward"]
    out.write_text(json.dumps(told))
    assert alx("describe", out, *words).code == 0
    assert "ward" in json.loads(out.read_text())["columns"]


def test_what_describe_refuses(tmp_path, stage, alx, capsys, monkeypatch):
    words = [str(w) for w in ward(tmp_path)]
    monkeypatch.chdir(tmp_path)
    refused(capsys, ["describe", *words[:2]], UsageError, "--data and --plan go together")
    refused(capsys, ["describe"], UsageError, "is not inside a site")
    assert "4 is not in the range x>=5" in alx("describe", *words, "--least", "4").err
    ward(tmp_path, rows=9, sick=2)
    refused(capsys, ["describe", *words], ConfigError, "the data have 9 samples, and nothing is told of fewer than 10")
    ward(tmp_path, spoil="no,,a")
    refused(capsys, ["describe", *words], ConfigError, "line 62: column 'age' is empty")
    assert not (tmp_path / "description.json").exists()
    world = stage("paired")
    site = world.folder("provider")
    inside = ["describe", *words, str(site / "x.json")]
    refused(capsys, inside, UsageError, "lies in the site")
    (site / "task.py").write_text(OWN_TASK)
    (site / "site.toml").write_text('role = "provider"\ntask = "task.py"\n')
    refused(capsys, ["describe", "--site", str(site)], UsageError, "one of your own")
    site.chmod(0o777)
    (site / "site.toml").write_text(f'role = "provider"\n[data]\nkind = "npz"\npath = "{world.root}/provider.npz"\n')
    refused(capsys, ["describe", "--site", str(site)], TrustError, "others may write")


def test_names_that_steer_a_terminal_are_escaped_wherever_data_are_told(tmp_path, alx):
    hostile = "\x1b[2J\u202ea"
    table = TABLE.replace('"no"', json.dumps(hostile)).replace("numeric.age", f"numeric.{json.dumps(hostile)}")
    table = table.replace('"b"]', json.dumps(hostile + "b") + "]").replace(
        "categorical.ward", f"categorical.{json.dumps(hostile + 'c')}"
    )
    ward(tmp_path)
    text = (tmp_path / "ward.csv").read_text().replace("sick,age,ward", f"sick,{hostile},{hostile}c")
    text = text.replace("no,", f"{hostile},").replace(",b\n", f",{hostile}b\n")
    (tmp_path / "ward.csv").write_text(text, encoding="utf-8")
    (tmp_path / "plan.toml").write_text(table, encoding="utf-8")
    words = ["--plan", tmp_path / "plan.toml", "--data", f"csv:{tmp_path}/ward.csv"]
    out = tmp_path / "told.json"
    screens = [
        alx("init", tmp_path / "s", "--role", "learner", *words),
        alx("check", "--site", tmp_path / "s"),
        alx("check", "--site", tmp_path / "s", "--json"),
        alx("describe", out, *words),
        alx("describe", out, *words, "--json"),
    ]
    assert [s.code for s in screens] == [0] * 5, screens
    for text in (*(s.out + s.err for s in screens), out.read_text()):
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "\\x1b" in text or "\\u001b" in text


def test_check_says_where_a_task_of_ones_own_does_not_go_by_the_plans_training(tmp_path, alx):
    plan = PLAN.replace("seed = 3", 'seed = 3\nselect_on = "SELECT"') + "[training]\nclip = 1.0\n"
    code = """
import torch
from torch.utils.data import TensorDataset
from alx.tasks import supervised

def make_task(settings):
    data = TensorDataset(torch.randn(20, 4), torch.arange(20) % 3)
    return supervised(settings.model, data, settings.loss, settings.optimiser, HEEDED)
"""
    for name, given, select, said in (
        ("ignores", "batch_size=4", "training", "LOOK: the plan has [training], and the task's steps do not go by it"),
        ("heeds", "training=settings.plan.training", "training", ""),
        ("unvalidated", "batch_size=4", "validation", "measures its training samples"),
    ):
        (tmp_path / f"{name}.toml").write_text(plan.replace("SELECT", select))
        (tmp_path / f"{name}.py").write_text(code.replace("HEEDED", given))
        words = ("--role", "learner", "--plan", tmp_path / f"{name}.toml", "--task", tmp_path / f"{name}.py")
        assert alx("init", tmp_path / name, *words).code == 0
        told = alx("check", "--site", tmp_path / name)
        assert told.code == (2 if select == "validation" else 0), told.err
        assert said in told.out + told.err
        assert said or "LOOK: the plan has [training]" not in told.out
