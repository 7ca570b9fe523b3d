"""A model in use: what `alx best` writes, and what `alx predict` and `alx evaluate` say where no site is."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import log_loss, roc_auc_score

from alx import plan as plans
from alx.cli.main import run
from alx.errors import ConfigError, CorruptError, LimitError, MalformedError, ModelError, NotFiniteError, UsageError
from alx.report import card
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from tests.conftest import PLAN, World, make_data, pair_world
from tests.forge import refused
from tests.killed import killed

TABLE_PLAN = """\
name = "table"
rounds = 1
round_steps = 6
batch_size = 8
seed = 3

[optimiser]
name = "sgd"
lr = 0.1

[model]
source = "net.py:make"
arguments = { inputs = 3 }

[columns]
label = "outcome"
classes = ["well", "=ill()"]

[columns.numeric."age, years"]
mean = 50.0
std = 10.0

[columns.categorical.sex]
values = ["f", "m"]
missing = "zeros"
"""
NET = "from torch import nn\n\n\ndef make(inputs):\n    return nn.Linear(inputs, 2)\n"
HEADER = ["patient", "age, years", "sex", "outcome"]


def table(path, rows, header=HEADER):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def rows(count, seed):
    rng = np.random.default_rng(seed)
    ages = rng.integers(20, 80, count)
    return [[f"p{i}", age, rng.choice(["f", "m", ""]), "=ill()" if age > 50 else "well"] for i, age in enumerate(ages)]


@pytest.fixture(scope="module")
def _finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("table")
    (root / "disk").mkdir()
    (root / "plan.toml").write_text(TABLE_PLAN)
    (root / "net.py").write_text(NET)
    for role, count, seed in (("learner", 20, 1), ("provider", 30, 2)):
        table(root / f"{role}.csv", rows(count, seed))
        table(root / f"{role}-kept.csv", rows(10, seed + 2))
        data = Data(kind="csv", path=f"../{role}.csv", held_out=f"../{role}-kept.csv")
        new.create(root / role, SiteFile(role=role, data=data), root / "plan.toml")
    world = pair_world(World(root))
    assert world.take("provider", world.turn("learner")) == 0
    assert world.take("learner", world.turn("provider")) == 0
    return root


@pytest.fixture
def world(_finished, tmp_path):
    """An exchange over tables, finished."""
    return World(shutil.copytree(_finished, tmp_path / "world"))


@pytest.fixture
def away(world, tmp_path, alx, monkeypatch):
    """A folder where no site is, with what `alx best` wrote, and nothing else."""
    folder = tmp_path / "away"
    folder.mkdir()
    done = alx("best", folder / "model.safetensors", "--site", world.folder("learner"))
    assert done.code == 0, done.err
    monkeypatch.chdir(folder)
    return folder


def read(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


def by_hand(folder, people):
    """Probabilities with torch alone."""
    weights = load_file(folder / "model.safetensors")
    inputs = torch.tensor([[(int(age) - 50) / 10, float(sex == "f"), float(sex == "m")] for age, sex in people])
    return (inputs @ weights["weight"].T + weights["bias"]).double().softmax(1)


PEOPLE = [(61, "f"), (34, "m"), (50, "")]


def test_a_model_answers_where_no_site_is_to_rows_without_labels(away, alx):
    names = ["p,1", 'q"2"', "Jürgen\nMüller"]
    table(
        away / "new.csv",
        [[sex, name, age] for name, (age, sex) in zip(names, PEOPLE, strict=True)],
        ["sex", "id", "age, years"],
    )
    done = alx("predict", "model.safetensors", "--data", "csv:new.csv", "--id", "id", "-o", "answers.csv")
    assert (done.code, done.err) == (0, "")
    assert "wrote 'answers.csv': the answers of 'model.safetensors' to 3 samples of 'new.csv'" in done.out
    header, *found = read(away / "answers.csv")
    assert header == ["id", "answer", "probability well", "probability =ill()"]
    expected = by_hand(away, PEOPLE)
    assert [row[0] for row in found] == names
    assert np.allclose([[float(cell) for cell in row[2:]] for row in found], expected, atol=1e-7)
    assert [row[1] for row in found] == ["'=ill()" if p[1] > p[0] else "well" for p in expected]


def test_rows_are_counted_where_nothing_names_them(away, alx):
    table(away / "new.csv", [[sex, age] for age, sex in PEOPLE], ["sex", "age, years"])
    done = alx("predict", "model.safetensors", "--data", "csv:new.csv", "-o", "answers.csv", "--json")
    assert json.loads(done.out)["columns"] == ["row", "answer", "probability well", "probability =ill()"]
    assert [row[0] for row in read(away / "answers.csv")] == ["row", "0", "1", "2"]
    assert (away / "answers.csv").stat().st_mode & 0o077 == 0  # what is said of patients is their keeper's alone


def test_what_a_spreadsheet_would_run_is_written_as_text(away, alx):
    names = ["=1+1", "+cmd", "@SUM(A1)", "-2+3", "-12", "+49", "\t=1", "plain", "\uff1d1"]
    table(away / "new.csv", [["f", 30, name] for name in names], ["sex", "age, years", "id"])
    done = alx("predict", "model.safetensors", "--data", "csv:new.csv", "--id", "id", "-o", "answers.csv", "--json")
    written = [row[0] for row in read(away / "answers.csv")[1:]]
    assert written == ["'=1+1", "'+cmd", "'@SUM(A1)", "'-2+3", "-12", "+49", "'=1", "plain", "'\uff1d1"]
    answered = sum(row[1] == "'=ill()" for row in read(away / "answers.csv")[1:])
    assert json.loads(done.out)["mended"] == 6 + answered


def test_of_two_classes_the_second_is_answered_from_the_threshold_on(away, alx):
    table(away / "new.csv", [[sex, age] for age, sex in PEOPLE], ["sex", "age, years"])
    ill = by_hand(away, PEOPLE)[:, 1].tolist()
    for number, threshold in enumerate(sorted(ill)):
        out = f"answers{number}.csv"
        command = ("predict", "model.safetensors", "--data", "csv:new.csv", "-o", out, "--threshold", str(threshold - 1e-5))
        assert alx(*command).code == 0
        assert sum(row[1] == "'=ill()" for row in read(away / out)) == 3 - number
    other = (*command[:-1], "0.4", "--positive", "well")
    assert alx(*other[:5], "other.csv", *other[6:]).code == 0
    well = by_hand(away, PEOPLE)[:, 0] > 0.4
    assert [row[1] for row in read(away / "other.csv")[1:]] == ["well" if each else "'=ill()" for each in well]


def test_best_writes_what_it_takes_to_use_the_model(away, world):
    written = ["model.cdx.json", "model.md", "model.plan.toml", "model.safetensors", "net.py"]
    assert sorted(p.name for p in away.iterdir()) == written
    assert (away / "model.plan.toml").read_bytes() == (world.root / "plan.toml").read_bytes()
    assert (away / "net.py").read_text() == NET
    card = (away / "model.md").read_text()
    digest = hashlib.sha256(TABLE_PLAN.encode()).hexdigest()
    keys = [hashlib.sha256((world.folder(role) / "public.pem").read_bytes()).hexdigest() for role in ("learner", "provider")]
    raw = load_file(away / "model.safetensors")
    weights = hashlib.sha256(b"".join(raw[name].numpy().tobytes() for name in sorted(raw))).hexdigest()
    code = hashlib.sha256(NET.encode()).hexdigest()
    for told in (
        digest,
        *keys,
        weights,
        code,
        "license: unknown",
        f"alx_plan: {digest}",
        "50 of both sites together",
        "`=ill()`",
    ):
        assert told in card
    parsed = ModelCard.load(away / "model.md").data.to_dict()
    assert (parsed["license"], parsed["pipeline_tag"]) == ("unknown", "tabular-classification")
    assert parsed["tags"] == ["alx", "assisted-learning", "safetensors"]
    assert hashlib.sha256((away / "model.safetensors").read_bytes()).hexdigest() in card
    assert "`model.cdx.json`" in card
    bill = json.loads((away / "model.cdx.json").read_text())
    refs = {each["bom-ref"]: each for each in bill["components"]}
    assert (refs["code"]["name"], refs["code"]["hashes"][0]["content"]) == ("net.py", code)
    assert refs["code"]["bom-ref"] in bill["dependencies"][0]["dependsOn"]
    parameters = bill["metadata"]["component"]["modelCard"]["modelParameters"]
    assert parameters["task"] == "tabular-classification"
    assert parameters["inputs"] == [{"format": "float32 [n, 3]: a row of a table, as the plan says"}]
    assert parameters["outputs"] == [{"format": "a logit for each class, in this order: well, =ill()"}]
    manifest = json.loads((world.bundle("provider") / "manifest.json").read_text())
    assert weights in {each["state"] for each in manifest["candidates"]}


def test_the_card_has_no_score_of_data_kept_apart(world, tmp_path, alx):
    done = alx("best", tmp_path / "m.safetensors", "--site", world.folder("learner"), "--json")
    score = json.loads(done.out)["held_out"]
    assert score is not None
    card = (tmp_path / "m.md").read_text()
    assert f"{score:.4f}" not in card
    assert "held" not in card


def test_the_cards_ten_lines_load_the_model_without_alx(away):
    lines = (away / "model.md").read_text().split("```python\n")[1].split("```")[0]
    program = (
        "import sys\nsys.modules['alx'] = None\nimport torch\ninputs = torch.tensor([[1.1, 1.0, 0.0]])\n"
        f"{lines}\nprint(*probabilities[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=away, capture_output=True, text=True, check=True)
    assert np.allclose([float(x) for x in done.stdout.split()], by_hand(away, [(61, "f")])[0], atol=1e-6)


def test_names_in_a_plan_are_no_mark_up_in_the_card():
    assert card._code("a|b`<img src=x>`\n# head\u202e") == "`a/b'<img src=x>'\\n# head\\u202e`"


def test_the_card_has_every_input_of_a_table_dates_and_indicators_too():
    agreed = plans.load(Path(__file__).parents[2] / "examples" / "hospitals" / "plan.toml").plan
    rows = [line.strip("| ").split(" | ") for line in card._columns(agreed.columns) if line.startswith("| `")]
    assert sum(int(row[2]) for row in rows) == agreed.columns.width
    assert ["`visit`", "date, years since 2023-01-01: (value - 0) / 1", "1", "refused"] in rows
    assert ["`device`", "one-hot over `A`, `B`", "3", "all zeros, and 1 in the input behind it, else 0"] in rows
    assert any("cheapest" in line for line in card._answers(agreed))
    assert not any("lean" in line for line in card._answers(agreed))
    weighed = plans.altered(agreed, {"objective": {"costs": {}, "class_weights": {"benign": 1.0, "malignant": 5.0}}}).plan
    assert any("lean to one side" in line for line in card._answers(weighed))


def test_written_again_it_replaces_its_own_and_nothing_of_another_exchange(away, world, stage, capsys):
    site = ["--site", str(world.folder("learner"))]
    before = {p.name: p.read_bytes() for p in away.iterdir()}
    assert run(["best", "model.safetensors", *site]) == 0
    assert {p.name: p.read_bytes() for p in away.iterdir()} == before
    other = ["--site", str(stage("finished").folder("learner"))]
    refused(capsys, ["best", "model.safetensors", *other], UsageError, "exists, and is no model of alx best under this plan")
    for name, told in (
        ("model.plan.toml", "no copy of this site's"),
        ("net.py", "no copy"),
        ("model.md", "no card of alx best"),
    ):
        (away / name).write_bytes(b"years of work")
        refused(capsys, ["best", "model.safetensors", *site], UsageError, name, told, hint="name another file")
        assert (away / name).read_bytes() == b"years of work"
        (away / name).write_bytes(before[name])
    (away / "net.py").unlink()
    (away / "net.py").symlink_to(world.root / "net.py")
    refused(capsys, ["best", "model.safetensors", *site], UsageError, "net.py", "no copy of this site's")


def test_a_model_and_the_file_beside_it_have_different_names(world, capsys, tmp_path):
    command = ["best", str(tmp_path / "net.py"), "--site", str(world.folder("learner"))]
    refused(capsys, command, UsageError, "is the name of the model's own .py file", hint="name another file")


def test_nothing_is_written_over(away, capsys):
    table(away / "new.csv", [["f", 30]], ["sex", "age, years"])
    for out, told in (
        ("new.csv", "exists"),
        ("model.md", "exists"),
        ("none/a.csv", "there is no folder"),
        (".", "is a folder"),
    ):
        refused(capsys, ["predict", "model.safetensors", "--data", "csv:new.csv", "-o", out], UsageError, told)
    before = (away / "new.csv").read_bytes()
    assert before == (away / "new.csv").read_bytes()


def test_in_a_site_it_is_the_sites_best_model_or_that_of_a_round(world, tmp_path, monkeypatch, capsys):
    table(tmp_path / "new.csv", [[sex, age] for age, sex in PEOPLE], ["sex", "age, years"])
    monkeypatch.chdir(world.folder("learner"))
    assert run(["best", str(tmp_path / "m.safetensors")]) == 0
    for out, more in (("a.csv", []), ("b.csv", ["--round", "1"]), ("c.csv", [str(tmp_path / "m.safetensors")])):
        assert run(["predict", *more, "--data", f"csv:{tmp_path}/new.csv", "-o", str(tmp_path / out)]) == 0
    assert len({(tmp_path / name).read_bytes() for name in ("a.csv", "b.csv", "c.csv")}) == 1
    data = ["--data", f"csv:{tmp_path}/new.csv", "-o", str(tmp_path / "d.csv")]
    refused(
        capsys,
        ["predict", "--round", "2", *data],
        UsageError,
        "nothing was selected in round 2",
        hint="rounds with a selection: 1",
    )
    refused(capsys, ["predict", "../m.safetensors", "--round", "1", *data], UsageError, "--round beside a MODEL")
    refused(capsys, ["predict", *data[:2], "-o", "answers.csv"], UsageError, "lies in the site")
    monkeypatch.chdir(tmp_path)
    refused(capsys, ["predict", *data], UsageError, "no MODEL was given, and there is no site here")


def test_a_site_s_own_table_file_serves_where_the_label_it_renames_is_not_there(away, alx):
    (away / "t.toml").write_text('rename = { diagnosis = "outcome", w = "sex" }\n')
    table(away / "new.csv", [["f", 30]], ["w", "age, years"])
    command = ("predict", "model.safetensors", "--data", "csv:new.csv", "--table", "t.toml")
    done = alx(*command, "-o", "a.csv")
    assert done.code == 0, done.err
    table(away / "new.csv", [["f", 30, "x"]], ["w", "age, years", "diagnosis"])
    assert alx(*command, "-o", "b.csv").code == 0
    assert read(away / "a.csv") == read(away / "b.csv")


def test_ids_that_come_more_than_once_deserve_a_look(away, alx):
    table(away / "new.csv", [["f", 30, i] for i in ("a", "b", "a", "c", "b")], ["sex", "age, years", "patient"])
    done = alx("predict", "model.safetensors", "--data", "csv:new.csv", "--id", "patient", "-o", "a.csv")
    assert "LOOK: 2 values of 'patient' stand in more than one row: a, b\n" in done.out
    table(away / "new.csv", [["f", 30, "a"]], ["sex", "age, years", "patient"])
    assert (
        "more than one row"
        not in alx("predict", "model.safetensors", "--data", "csv:new.csv", "--id", "patient", "-o", "b.csv").out
    )


def test_where_no_site_is_a_hint_names_nothing_of_one(away, capsys):
    table(away / "new.csv", [["x", 30]], ["sex", "age, years"])
    words = ["predict", "model.safetensors", "--data", "csv:new.csv", "-o", "a.csv"]
    told = refused(capsys, words, ConfigError, "'x' is no value of column 'sex'", hint="else leave the row out")
    assert "site.toml" not in told


def test_rows_beyond_the_plans_scaling_deserve_a_look(away, alx):
    table(away / "new.csv", [["f", 30_000, "well"]], ["sex", "age, years", "outcome"])
    command = ("predict", "model.safetensors", "--data", "csv:new.csv", "-o", "a.csv")
    told = alx(*command)
    assert "LOOK: column 'age, years' lies beyond -10 to 10 in 1 row once scaled as the plan says" in told.out
    done = alx("evaluate", "model.safetensors", "--data", "csv:new.csv", "--json")
    assert done.code == 0, done.err
    assert sum("lies beyond" in look for look in json.loads(done.out)["looks"]) == 1


def test_a_row_that_cannot_be_read_is_named_and_nothing_is_written(away, capsys):
    table(away / "new.csv", [["f", 30], ["f", "old"]], ["sex", "age, years"])
    command = ["predict", "model.safetensors", "--data", "csv:new.csv", "-o", "answers.csv"]
    refused(capsys, command, ConfigError, "'new.csv' line 3: 'old' in column 'age, years' is no number")
    table(away / "new.csv", [["f"]], ["sex"])
    refused(capsys, command, ConfigError, "'new.csv' has no column 'age, years'")
    table(away / "new.csv", [["f", 30, 1]], ["sex", "age, years", "answer"])
    refused(capsys, [*command, "--id", "patient"], ConfigError, "'new.csv' has no column 'patient'")
    refused(capsys, [*command, "--id", "answer"], ConfigError, "named by 'answer'", hint="rename the column")
    refused(capsys, [*command, "--part", "test"], ConfigError, "data of the kind csv have no parts")
    refused(
        capsys,
        ["predict", "model.safetensors", "--data", "npz:new.csv", "-o", "a.csv"],
        ConfigError,
        "cannot read 'new.csv'",
    )
    refused(
        capsys, ["predict", "model.safetensors", "--data", "mnist:.", "-o", "a.csv"], ConfigError, "the plan has [columns]"
    )
    assert not list(away.glob("a*.csv"))


def test_a_model_that_is_not_the_plans_is_refused(away, stage, capsys):
    table(away / "new.csv", [["f", 30]], ["sex", "age, years"])
    own = {name: weight.clone() for name, weight in load_file("model.safetensors").items()}  # not the file itself
    command = ["predict", "x.safetensors", "--plan", "model.plan.toml", "--data", "csv:new.csv", "-o", "answers.csv"]
    save_file(own, "x.safetensors")  # one that anybody wrote
    assert run(command) == 0
    (away / "answers.csv").unlink()
    faults = {
        "'weight' expected F32[2, 3], got F32[3, 2]": {**own, "weight": own["weight"].T.contiguous()},
        "'bias' expected F32[2], got nothing": {"weight": own["weight"]},
        "'more' expected nothing, got F32[1]": {**own, "more": torch.ones(1)},
        "'bias' expected F32[2], got F16[2]": {**own, "bias": own["bias"].half()},
    }
    for told, weights in faults.items():
        save_file(weights, "x.safetensors")
        refused(capsys, command, ModelError, "'x.safetensors': the model is another one", told)
    save_file({**own, "bias": torch.tensor([0.0, torch.nan])}, "x.safetensors")
    refused(capsys, command, NotFiniteError, "a weight that is not finite in 'bias'")
    other = stage("finished")
    (away / "x.safetensors").unlink()
    assert run(["best", str(away / "x.safetensors"), "--site", str(other.folder("learner"))]) == 0
    refused(capsys, command, ConfigError, "'x.safetensors' was trained under plan", hint="--plan FILE")


def test_a_damaged_or_hostile_file_is_refused_before_it_is_loaded(away, capsys):
    table(away / "new.csv", [["f", 30]], ["sex", "age, years"])
    command = ["predict", "model.safetensors", "--data", "csv:new.csv", "-o", "answers.csv"]
    good = (away / "model.safetensors").read_bytes()
    own = {name: weight.clone() for name, weight in load_file("model.safetensors").items()}  # not the file itself

    def noted(note):
        save_file(own, "model.safetensors", {"alx": note})

    def refuse(kind, *told):
        refused(capsys, command, kind, *told)

    path = away / "model.safetensors"
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refuse(CorruptError, "not those that alx best wrote")
    path.write_bytes(good[:-1])
    refuse(MalformedError, "no safetensors file")
    path.write_bytes(b"\xff" * 8 + good[8:])
    refuse(MalformedError, "no safetensors file")
    torch.save(own, path)
    refuse(MalformedError, "no safetensors file")
    noted("[" * 5000)
    refuse(MalformedError, "the note in 'model.safetensors'")
    noted("x" * (1 << 20))
    refuse(LimitError, "the note in 'model.safetensors'")
    noted('{"alx": "9"}')
    refuse(MalformedError, "is not of this version of alx")
    save_file({f"t{i}": torch.zeros(0) for i in range(20_001)}, path)
    refuse(LimitError, "20001 tensors")
    path.unlink()
    refuse(UsageError, "there is no model file")
    path.mkdir()
    refuse(UsageError, "there is no model file")


def test_another_program_than_the_models_own_does_not_run(away, capsys):
    table(away / "new.csv", [["f", 30]], ["sex", "age, years"])
    (away / "net.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    command = ["predict", "model.safetensors", "--data", "csv:new.csv", "-o", "answers.csv"]
    refused(capsys, command, ConfigError, "the model's own file 'net.py' is another")
    assert not (away / "ran").exists()
    (away / "model.plan.toml").unlink()
    refused(capsys, command, UsageError, "there is no plan 'model.plan.toml' beside", hint="--plan FILE")


def test_arrays_are_answered_with_their_names_or_rows(stage, tmp_path, monkeypatch, capsys):
    world = stage("finished")
    monkeypatch.chdir(tmp_path)
    assert run(["best", "m.safetensors", "--site", str(world.folder("learner"))]) == 0
    held = np.load(world.root / "learner.npz")
    np.savez("new.npz", train_images=held["train_images"])  # no labels
    assert run(["predict", "m.safetensors", "--data", "npz:new.npz", "-o", "a.csv"]) == 0
    header, *found = read(tmp_path / "a.csv")
    assert header == ["row", "answer", "probability 0", "probability 1", "probability 2"]
    layers = load_file("m.safetensors")
    x = torch.from_numpy(held["train_images"])
    for i in (0, 2):
        x = (x @ layers[f"{i}.weight"].T + layers[f"{i}.bias"]).relu()
    expected = (x @ layers["4.weight"].T + layers["4.bias"]).double().softmax(1)
    assert np.allclose([[float(c) for c in row[2:]] for row in found], expected, atol=1e-6)
    assert [int(row[1]) for row in found] == expected.argmax(1).tolist()
    assert [row[0] for row in found] == [str(i) for i in range(40)]
    both = {f"{p}_images": held[f"{p}_images"] for p in ("train", "test")}
    np.savez("new.npz", **both, test_patient=np.arange(10) + 100, train_patient=np.zeros((40, 2)))
    assert run(["predict", "m.safetensors", "--data", "npz:new.npz", "--id", "patient", "-o", "b.csv"]) == 0
    assert [row[0] for row in read(tmp_path / "b.csv")] == ["patient", *(str(100 + i) for i in range(10))]
    more = ["predict", "m.safetensors", "--data", "npz:new.npz", "-o", "c.csv"]
    odd = [*more, "--part", "train", "--id", "patient"]
    refused(capsys, odd, ConfigError, "'new.npz' has no column 'patient'", hint="an array train_<name>")
    refused(capsys, [*more, "--part", "val"], ConfigError, "train_images, test_images, and val_images was asked for")
    refused(capsys, [*more, "--id", "x"], ConfigError, "has no column 'x'", hint="columns, by the plan's names: patient")
    refused(
        capsys, [*more, "--threshold", "0.4"], ConfigError, "a threshold of 0.4, and the model tells no two classes apart"
    )
    np.savez("new.npz", test_images=np.ones((2, 5), np.float32))
    refused(capsys, more, ConfigError, "the model cannot take test_images of 'new.npz'")


IMAGE_PLAN = """\
name = "pictures"
rounds = 1
round_steps = 2
sampling_period = 1

[optimiser]
name = "sgd"

[model]
source = "net.py:make"

[images]
size = [2, 2]
channels = 1
classes = ["dark", "light"]
"""
FLAT = "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))\n"


def test_pictures_are_answered_by_their_paths_in_folders_or_not(tmp_path, monkeypatch, alx):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(IMAGE_PLAN)
    (tmp_path / "net.py").write_text(FLAT)
    save_file({"1.weight": torch.tensor([[0.0] * 4, [1.0] * 4]), "1.bias": torch.tensor([0.0, -2.0])}, "m.safetensors")
    for name, grey in (("b.png", 255), ("a.png", 0), ("ward/c.png", 102), ("ward/=d.png", 204)):
        (tmp_path / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), grey).save(tmp_path / "new" / name)
    (tmp_path / "new" / ".DS_Store").touch()
    done = alx("predict", "m.safetensors", "--plan", "plan.toml", "--data", "images:new", "-o", "a.csv")
    assert done.code == 0, done.err
    header, *found = read(tmp_path / "a.csv")
    assert header == ["file", "answer", "probability dark", "probability light"]
    assert [row[:2] for row in found] == [
        ["a.png", "dark"],
        ["b.png", "light"],
        ["ward/=d.png", "light"],
        ["ward/c.png", "dark"],
    ]
    sigmoid = [1 / (1 + np.exp(2 - 4 * grey / 255)) for grey in (0, 255, 204, 102)]  # of two logits, by hand
    assert np.allclose([float(row[3]) for row in found], sigmoid, atol=1e-6)


def test_pictures_in_tars_are_answered_by_their_paths_in_folders_or_not(tmp_path, monkeypatch, alx):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(IMAGE_PLAN)
    (tmp_path / "net.py").write_text(FLAT)
    save_file({"1.weight": torch.tensor([[0.0] * 4, [1.0] * 4]), "1.bias": torch.tensor([0.0, -2.0])}, "m.safetensors")
    (tmp_path / "new").mkdir()
    light = {"light/c.png": 102, "b.png": 255, "ward/d.png": 204, "dark/a.png": 255}
    for part, names in (("1.tar", ["light/c.png", "b.png"]), ("2.tar", ["ward/d.png", "dark/a.png"])):
        with tarfile.open(tmp_path / "new" / part, "w") as tar:
            for name in names:
                Image.new("L", (2, 2), light[name]).save(tmp_path / "p.png")
                tar.add("p.png", name)
            (tmp_path / "b.cls").write_text("9")  # labels are not looked at
            tar.add("b.cls")
    command = ("predict", "m.safetensors", "--plan", "plan.toml")
    done = alx(*command, "--data", "tar:new/1.tar", "-o", "a.csv")
    assert done.code == 0, done.err
    assert [row[:2] for row in read(tmp_path / "a.csv")] == [["file", "answer"], ["b.png", "light"], ["light/c.png", "dark"]]
    assert alx(*command, "--data", "tar:new", "-o", "b.csv").code == 0
    assert [row[:2] for row in read(tmp_path / "b.csv")[1:]] == [
        ["1.tar/b.png", "light"],
        ["2.tar/dark/a.png", "light"],
        ["1.tar/light/c.png", "dark"],
        ["2.tar/ward/d.png", "light"],
    ]


def test_in_a_site_of_tars_evaluate_takes_what_is_kept_apart_and_what_is_trained_on(tmp_path, monkeypatch, alx):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.toml").write_text(IMAGE_PLAN)
    (tmp_path / "net.py").write_text(FLAT)
    save_file({"1.weight": torch.tensor([[0.0] * 4, [1.0] * 4]), "1.bias": torch.tensor([0.0, -2.0])}, "m.safetensors")
    for part, names in (("own.tar", ["dark/a.png", "light/b.png", "light/c.png"]), ("kept.tar", ["light/d.png"])):
        with tarfile.open(tmp_path / part, "w") as tar:
            for name in names:
                Image.new("L", (2, 2), 0).save(tmp_path / "p.png")
                tar.add("p.png", name)
    data = Data(kind="tar", path="../own.tar", held_out="../kept.tar")
    new.create(tmp_path / "learner", SiteFile(role="learner", data=data), tmp_path / "plan.toml")
    site = ("--site", tmp_path / "learner", "--json")
    for part, expected in (((), {"light": [1, 0]}), (("--part", "train"), {"dark": [1, 0], "light": [2, 0]})):
        done = alx("evaluate", "m.safetensors", *site, *part)
        assert done.code == 0, done.err
        assert json.loads(done.out)["confusion"] == {"dark": [0, 0]} | expected


def test_numbers_and_several_labels_are_answered_too(tmp_path, monkeypatch, alx, capsys):
    monkeypatch.chdir(tmp_path)
    plan = PLAN.replace("alx.tasks.models:mlp", "net.py:make").replace("{ inputs = 4, classes = 3, hidden = 8 }", "{}")
    (tmp_path / "net.py").write_text("from torch import nn\n\n\ndef make():\n    return nn.Linear(2, 2)\n")
    save_file({"weight": torch.eye(2), "bias": torch.tensor([0.5, 0.0])}, "m.safetensors")
    np.savez("new.npz", test_images=np.array([[1.0, -1.0], [-3.5, 0.0]], np.float32))
    command = ("predict", "m.safetensors", "--plan", "plan.toml", "--data", "npz:new.npz", "-o")
    for loss, told in (
        ("mse", [["row", "answer 0", "answer 1"], ["0", "1.5", "-1"], ["1", "-3", "0"]]),
        (
            "binary_cross_entropy",
            [
                ["row", "answer label 0", "answer label 1", "probability label 0", "probability label 1"],
                ["0", "1", "0", "0.817574476", "0.268941421"],  # 1 / (1 + exp(-1.5)), 1 / (1 + exp(1))
                ["1", "0", "0", "0.0474258732", "0.5"],
            ],
        ),
    ):
        (tmp_path / "plan.toml").write_text(f'loss = "{loss}"\n{plan}')
        assert alx(*command, f"{loss}.csv").code == 0
        assert read(tmp_path / f"{loss}.csv") == told
    np.savez("new.npz", test_images=np.array([[1, 1], [3e38, 1]], np.float32))
    save_file({"weight": 10 * torch.eye(2), "bias": torch.zeros(2)}, "m.safetensors")
    refused(capsys, [*command, "c.csv"], ConfigError, "answer to sample 1 (counted from 0) is not finite")


def test_a_full_disk_leaves_the_old_files_or_none(away, world, monkeypatch):
    before = {p.name: p.read_bytes() for p in away.iterdir()}
    real = os.open

    def full(path, flags, *rest, **named):
        if str(path).endswith(".model.safetensors.tmp"):
            raise OSError(28, "No space left on device")
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", full)
    assert run(["best", "model.safetensors", "--site", str(world.folder("learner"))]) != 0
    monkeypatch.undo()
    assert {p.name: p.read_bytes() for p in away.iterdir() if not p.name.startswith(".")} == before


def test_killed_anywhere_best_leaves_whole_files_and_the_model_last(world, tmp_path):
    names = ("model.plan.toml", "net.py", "model.cdx.json", "model.md", "model.safetensors")
    command = ["best", "{}/out/model.safetensors", "--site", "{}/learner"]
    (world.root / "out").mkdir()
    for what, each in killed(world, tmp_path / "killed", *command, every=3):
        there = {name: (each.root / "out" / name).read_bytes() for name in names if (each.root / "out" / name).exists()}
        assert list(there) == list(names[: len(there)]), what
        assert run([a.format(each.root) for a in command]) == 0
        after = {name: (each.root / "out" / name).read_bytes() for name in names}
        assert there.items() <= after.items(), what
        assert len(list((each.root / "out").iterdir())) == len(names)


def test_killed_anywhere_predict_leaves_no_file_or_a_whole_one(world, tmp_path):
    (world.root / "out").mkdir()
    command = ["predict", "--data", "csv:{}/learner.csv", "--out", "{}/out/a.csv", "--site", "{}/learner"]
    for what, each in killed(world, tmp_path / "killed", *command, every=3):
        out = each.root / "out" / "a.csv"
        before = out.read_bytes() if out.exists() else None
        out.unlink(missing_ok=True)
        assert run([a.format(each.root) for a in command]) == 0
        assert before in (None, out.read_bytes()), what


def test_evaluate_says_what_sklearn_says_beside_what_is_had_without_a_model(away, alx):
    people = rows(30, 9)
    table(away / "last.csv", [[*row, "north" if i % 3 else "south"] for i, row in enumerate(people)], [*HEADER, "ward"])
    done = alx("evaluate", "model.safetensors", "--data", "csv:last.csv", "--by", "ward", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    p = by_hand(away, [(row[1], row[2]) for row in people])
    truth = np.array([row[3] == "=ill()" for row in people]).astype(int)
    assert (found["samples"], found["data"]) == (30, "'last.csv'")
    assert found["loss"] == pytest.approx(log_loss(truth, p.numpy()), abs=1e-6)
    assert found["metrics"]["AUC"] == pytest.approx(roc_auc_score(truth, p[:, 1]))
    assert found["metrics"]["accuracy"] == pytest.approx(((p[:, 1] > 0.5).numpy() == truth).mean())
    assert found["majority"]["accuracy"] == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    assert {ward: inside["samples"] for ward, inside in found["groups"]["ward"].items()} == {"north": 20, "south": 10}
    shown = alx("evaluate", "model.safetensors", "--data", "csv:last.csv", "--by", "ward").out
    assert f"'model.safetensors', 30 samples of 'last.csv': cross_entropy {found['loss']:.6g} a sample" in shown
    assert f"{found['metrics']['AUC']:.4f}" in shown
    assert "south" in shown


def test_evaluate_and_predict_count_the_same_answers(away, alx):
    people = rows(40, 11)
    table(away / "last.csv", people)
    for threshold in ("0.3", "0.5", "0.7"):
        out = f"answers{threshold}.csv"
        more = ("model.safetensors", "--data", "csv:last.csv", "--threshold", threshold)
        assert alx("predict", *more, "-o", out).code == 0
        answered = [row[1].removeprefix("'") for row in read(away / out)[1:]]
        found = json.loads(alx("evaluate", *more, "--json").out)
        pairs = list(zip([row[3] for row in people], answered, strict=True))
        classes = ["well", "=ill()"]
        assert found["confusion"] == {true: [pairs.count((true, other)) for other in classes] for true in classes}


def test_in_a_site_evaluate_takes_what_the_site_keeps_apart(world, alx, capsys):
    site = ["--site", str(world.folder("learner"))]
    chosen = world.state("learner").position.selected[-1]
    found = json.loads(alx("evaluate", *site, "--round", "1", "--json").out)
    assert (found["samples"], found["data"]) == (10, "'learner-kept.csv'")
    assert found["metrics"]["accuracy"] == chosen.held_out
    trained = json.loads(alx("evaluate", *site, "--part", "train", "--json").out)
    assert trained["samples"] == 20
    assert trained["loss"] == pytest.approx(chosen.own[chosen.index] / 20, rel=1e-6)
    refused(capsys, ["evaluate", *site, "--part", "val"], UsageError, 'select_on = "training"', hint="--part train")
    refused(capsys, ["evaluate", *site, "--by", "ward"], ConfigError, "has no column 'ward'")
    table(world.root / "many.csv", rows(60, 4))
    command = ["evaluate", *site, "--data", f"csv:{world.root}/many.csv", "--by", "patient"]
    refused(capsys, command, ConfigError, "column 'patient' has 60 values")


def test_evaluate_refuses_labels_that_the_model_has_no_answer_for(away, capsys):
    table(away / "last.csv", [["p", 30, "f", "dead"]])
    command = ["evaluate", "model.safetensors", "--data", "csv:last.csv"]
    refused(capsys, command, ConfigError, "'last.csv' line 2: 'dead' in column 'outcome' is no class of the plan")
    table(away / "last.csv", [["f", 30]], ["sex", "age, years"])
    refused(capsys, command, ConfigError, "'last.csv' has no column 'outcome'")
    refused(capsys, command[:2], UsageError, "no --data was given, and there is no site of this plan here")
    refused(capsys, [*command, "--positive", "dead"], ConfigError)
    refused(capsys, ["evaluate", "--data", "csv:last.csv"], UsageError, "no MODEL was given")


OWN = """\
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx.tasks import supervised


def make_task(settings):
    held = np.load(settings.folder / ".." / f"{settings.folder.name}.npz")
    data = TensorDataset(torch.from_numpy(held["train_images"]), torch.from_numpy(held["train_labels"]))
    kept = TensorDataset(torch.from_numpy(held["test_images"]), torch.from_numpy(held["test_labels"]))
    loss = nn.CrossEntropyLoss(reduction="none")
    return supervised(settings.model, data, loss, settings.optimiser, batch_size=8, held_out=kept)
"""


def test_a_task_of_ones_own_is_judged_by_itself_and_answers_nothing_by_the_plan(tmp_path, alx, capsys):
    root = tmp_path / "own"
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(PLAN.replace("rounds = 2", "rounds = 1").replace("= 12", "= 2"))
    (root / "task.py").write_text(OWN)
    make_data(root)
    for role in ("learner", "provider"):
        new.create(root / role, SiteFile(role=role, task=str(root / "task.py")), root / "plan.toml")
    world = pair_world(World(root))
    assert world.take("provider", world.turn("learner")) == 0
    site = ["--site", str(world.folder("provider"))]
    chosen = world.state("provider").position.selected[-1]
    found = json.loads(alx("evaluate", *site, "--json").out)
    assert found["loss"] == pytest.approx(chosen.own[chosen.index] / 60)
    assert next(iter(found["metrics"].values())) == chosen.held_out
    data = ["--data", f"npz:{root}/provider.npz"]
    refused(capsys, ["evaluate", *site, *data], ConfigError, "a task of your own brings its data itself")
    out = ["-o", str(root / "a.csv")]
    refused(capsys, ["predict", *site, *data, *out], ConfigError, "predict is for the built-in task", hint="docs/tasks.md")
    model = str(tmp_path / "m.safetensors")
    assert run(["best", model, *site]) == 0
    assert "A program of the site's own makes the inputs" in (tmp_path / "m.md").read_text()
    card = json.loads((tmp_path / "m.cdx.json").read_text())["metadata"]["component"]["modelCard"]
    assert not {"approach", "inputs", "outputs"} & card["modelParameters"].keys()
    refused(capsys, ["predict", model, *data, *out], ConfigError, "was trained by a task of one's own", hint="docs/tasks.md")
    assert json.loads(alx("evaluate", model, *site, "--json").out)["loss"] == found["loss"]


def test_evaluate_reads_arrays_and_folders_by_their_labels(stage, tmp_path, monkeypatch, alx, capsys):
    world = stage("finished")
    monkeypatch.chdir(tmp_path)
    assert run(["best", "m.safetensors", "--site", str(world.folder("learner"))]) == 0
    shutil.copy(world.root / "learner.npz", "learner.npz")
    assert run(["predict", "m.safetensors", "--data", "npz:learner.npz", "-o", "a.csv"]) == 0
    answered = [int(row[1]) for row in read(tmp_path / "a.csv")[1:]]
    found = json.loads(alx("evaluate", "m.safetensors", "--data", "npz:learner.npz", "--json").out)
    assert (found["samples"], found["data"]) == (10, "test_images of 'learner.npz'")
    assert found["metrics"]["accuracy"] == (np.load("learner.npz")["test_labels"] == answered).mean()
    refused(
        capsys,
        ["evaluate", "m.safetensors", "--data", "npz:learner.npz", "--positive", "1"],
        ConfigError,
        "two classes apart",
    )
    (tmp_path / "plan.toml").write_text(IMAGE_PLAN)
    (tmp_path / "net.py").write_text(FLAT)
    save_file({"1.weight": torch.tensor([[0.0] * 4, [1.0] * 4]), "1.bias": torch.tensor([0.0, -2.0])}, "n.safetensors")
    for name, grey in (("dark/a.png", 0), ("dark/b.png", 255), ("light/c.png", 255), ("light/d.png", 204)):
        (tmp_path / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), grey).save(tmp_path / "new" / name)
    command = ("evaluate", "n.safetensors", "--plan", "plan.toml", "--data", "images:new")
    assert json.loads(alx(*command, "--json").out)["confusion"] == {"dark": [1, 1], "light": [0, 2]}
    Image.new("L", (2, 2), 0).save(tmp_path / "new" / "loose.png")
    refused(capsys, [*command], ConfigError, "has a file 'loose.png', which is no class of the plan")


PLACES = "from torch import nn\n\n\ndef make():\n    return nn.Conv2d(1, 2, 1)\n"


def test_labels_of_places_are_judged_by_the_mean_over_a_samples_places(tmp_path, monkeypatch, alx):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(PLACES)
    plan = re.sub("arguments = .*", "", PLAN.replace("alx.tasks.models:mlp", "net.py:make"))
    (tmp_path / "plan.toml").write_text(plan)
    dear = "[objective.costs]\n0 = { 1 = 1.0 }\n1 = { 0 = 5.0 }\n"
    (tmp_path / "costs.toml").write_text(plan + dear)
    weights = {"weight": torch.tensor([0.0, 4.0]).reshape(2, 1, 1, 1), "bias": torch.tensor([0.0, -2.0])}
    save_file(weights, "m.safetensors")
    x = np.random.default_rng(5).random((6, 1, 3, 2)).astype(np.float32)
    y = (x[:, 0] > 0.6).astype(np.int64)
    np.savez("d.npz", test_images=x, test_labels=y)
    p = 1 / (1 + np.exp(2 - 4 * x[:, 0].astype(float)))
    for name, answered in (("plan.toml", p > 0.5), ("costs.toml", 5 * p > 1 - p)):
        done = alx("evaluate", "m.safetensors", "--plan", name, "--data", "npz:d.npz", "--json")
        assert done.code == 0, done.err
        found = json.loads(done.out)
        assert found["samples"] == 6
        assert found["loss"] == pytest.approx(-np.log(np.where(y == 1, p, 1 - p)).mean(), rel=1e-5)
        expected = {"accuracy": ((p > 0.5) == y).mean()}
        if name == "costs.toml":
            paid = np.where(answered == y, 0.0, np.where(y == 1, 5.0, 1.0))
            expected |= {"mean cost": paid.mean(), "accuracy of the cheapest": (answered == y).mean()}
        assert found["metrics"] == pytest.approx(expected)
    useless = alx("evaluate", "m.safetensors", "--plan", "plan.toml", "--data", "npz:d.npz", "--threshold", "0.3")
    assert (useless.code, "the model tells no two classes apart" in useless.err) == (2, True)


@pytest.mark.parametrize("command", [("evaluate",), ("predict", "-o", "a.csv")])
def test_a_model_of_numbers_is_not_asked_about_pixels(stage, tmp_path, monkeypatch, capsys, command):
    world = stage("finished")
    monkeypatch.chdir(tmp_path)
    np.savez("new.npz", test_images=np.ones((3, 2, 2), np.uint8), test_labels=np.arange(3))
    site = ["--site", str(world.folder("learner"))]
    told = "test_images of 'new.npz' holds pixels, and the model was trained on numbers"
    refused(capsys, [*command, "--data", "npz:new.npz", *site], ConfigError, told, hint="store both alike")


def test_where_the_plan_has_costs_the_cheapest_answer_is_given_and_judged(away, alx, capsys):
    (away / "costs.toml").write_text(
        TABLE_PLAN + '\n[objective]\nclass_weights = { well = 1.0, "=ill()" = 3.0 }\n'
        '[objective.costs]\nwell = { "=ill()" = 1.0 }\n"=ill()" = { well = 5.0 }\n'
    )
    save_file(load_file("model.safetensors"), "plain.safetensors")
    people = rows(40, 13)
    table(away / "last.csv", people)
    more = ("plain.safetensors", "--plan", "costs.toml", "--data", "csv:last.csv")
    assert alx("predict", *more, "-o", "a.csv").code == 0
    weighed = by_hand(away, [(row[1], row[2]) for row in people])[:, 1].numpy()
    ill = weighed / 3 / (weighed / 3 + 1 - weighed)  # as often as they are: training counted each of them three times
    found = read(away / "a.csv")[1:]
    assert np.allclose([float(row[3]) for row in found], ill, atol=1e-6)
    answered = np.where(5 * ill > 1 - ill, "=ill()", "well")
    assert [row[1].removeprefix("'") for row in found] == answered.tolist()
    truth = np.array([row[3] for row in people])
    paid = np.where(truth == answered, 0.0, np.where(truth == "well", 1.0, 5.0))
    told = json.loads(alx("evaluate", *more, "--json").out)
    assert told["metrics"]["mean cost"] == pytest.approx(paid.mean())
    assert told["metrics"]["accuracy of the cheapest"] == pytest.approx((truth == answered).mean())
    share = (truth == "well").mean()
    assert told["majority"]["mean cost"] == pytest.approx(min(share, 5 * (1 - share)))
    assert told["confusion"]["well"][1] == int(((truth == "well") & (answered != truth)).sum())
    refused(capsys, ["evaluate", *more, "--threshold", "0.3"], ConfigError, "the plan has costs", hint="leave it out")
