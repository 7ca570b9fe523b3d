"""`alx simulate` with a task of one's own; weights that all begin with; models that are kept; each group in turn."""

import contextlib
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import TensorDataset

from alx import plan as plans
from alx.cli.main import run
from alx.errors import ConfigError
from alx.site import site_file
from alx.study import algorithms, parties, simulation, splits, table
from alx.study.own import OwnTask
from alx.study.results import Results, shares, summarise
from alx.tasks.data import samples
from alx.tasks.deal import Deal
from alx.tasks.load import Own, Settings
from alx.tasks.models import mlp

PLAN = """\
name = "tiny"
rounds = 1
round_steps = 8
batch_size = 8

[optimiser]
name = "adam"
lr = 0.01

[model]
source = "alx.tasks.models:mlp"
arguments = { inputs = 4, classes = 3, hidden = 8 }
"""
TASK = """\
import numpy as np
import torch
from torch.utils.data import TensorDataset

from alx.tasks import supervised
from alx.tasks.metrics import Judge


def make_task(settings):
    with np.load(settings.folder / "all.npz") as file:
        read = {name: torch.as_tensor(file[name]) for name in file.files if name != "train_site"}
        sites = file["train_site"].tolist()
    data = TensorDataset(read["train_images"], read["train_labels"])
    return supervised(
        model=settings.model,
        data=settings.dealt(data, columns={"site": sites}),
        loss=settings.loss,
        optimiser=settings.optimiser,
        batch_size=settings.plan.batch_size,
        held_out=TensorDataset(read["test_images"], read["test_labels"]),
        score=Judge("cross_entropy"),
        distillation=settings.distillation,
        device=settings.device,
    )
"""


def fill(folder):
    (folder / "plan.toml").write_text(PLAN)
    (folder / "task.py").write_text(TASK)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    inputs = (rng.normal(size=(3, 4))[labels] * 2 + rng.normal(size=(60, 4))).astype(np.float32)
    parts = {
        "train_images": inputs[:48],
        "train_labels": labels[:48],
        "test_images": inputs[48:],
        "test_labels": labels[48:],
    }
    np.savez(folder / "all.npz", **parts, train_site=np.array(["north", "south", "west, by the sea"])[np.arange(48) % 3])
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return fill(tmp_path)


def simulate(*arguments):
    return run(["simulate", "plan.toml", *arguments])


def results(folder):
    return Results.model_validate_json((folder / "results.json").read_bytes())


def numbers(folder):
    return [(r.algorithm, [q.model_copy(update={"carried": 0}) for q in r.rounds]) for r in results(folder).runs]


@pytest.fixture(scope="module")
def _both(tmp_path_factory):
    """The same samples, told by their file and by a task of one's own."""
    folder = fill(tmp_path_factory.mktemp("both"))
    words = ["--split", "complementary:0:0.1", "--baselines", "centralised,cyclic,fedavg+distillation"]
    with contextlib.chdir(folder):
        assert simulate(*words, "--data", "npz:all.npz", "--out", "built-in") == 0
        assert simulate(*words, "--task", "task.py", "--out", "own", "--keep-models") == 0
    return folder


@pytest.fixture
def both(_both, tmp_path, monkeypatch):
    """A private copy of it."""
    folder = shutil.copytree(_both, tmp_path / "both")
    monkeypatch.chdir(folder)
    return folder


def test_a_task_of_ones_own_is_played_as_the_built_in_one_to_the_last_digit(both):
    """Losses, every number on samples kept apart, and what was chosen."""
    assert numbers(both / "own") == numbers(both / "built-in")
    own, built_in = results(both / "own"), results(both / "built-in")
    assert (own.data, own.score, own.dealt) == ("task.py", "accuracy", built_in.dealt)
    assert own.summary[0].metrics.keys() > {"accuracy", "AUC", "Brier"}


def test_what_is_kept_is_each_algorithms_model_after_each_round(both):
    with np.load(both / "all.npz") as file:
        x, y = torch.as_tensor(file["train_images"]), torch.as_tensor(file["train_labels"])
    found = results(both / "own")
    for each in found.runs:
        path = both / "own" / "seed-0" / "models" / f"{each.algorithm}-round-1.safetensors"
        net = mlp(inputs=4, classes=3, hidden=8)
        net.load_state_dict(load_file(path))
        with torch.no_grad():
            assert nn.functional.cross_entropy(net(x), y).item() == pytest.approx(each.rounds[0].loss, rel=1e-5)
    assert plans.load(path.with_name(f"{each.algorithm}-round-1.plan.toml")).plan.name == "tiny"


def test_a_folder_of_another_task_or_other_settings_or_without_its_models_is_another_studys(both, capsys):
    words = ["--split", "complementary:0:0.1", "--task", "task.py", "--out", "own"]
    assert simulate(*words) == 2
    assert "another choice of --keep-models" in capsys.readouterr().err
    (both / "task.py").write_text(TASK + "\n")
    assert simulate(*words, "--keep-models") == 2
    assert "holds a study with another task\n" in capsys.readouterr().err


def test_everybody_begins_with_the_weights_that_are_given_and_a_kept_model_is_evaluated(place, capsys):
    """Steps so small that they change nothing."""
    (place / "plan.toml").write_text(PLAN.replace('"adam"', '"sgd"').replace("0.01", "1e-30"))
    torch.manual_seed(9)
    save_file(mlp(inputs=4, classes=3, hidden=8).state_dict(), place / "start.safetensors")
    words = ["--data", "npz:all.npz", "--split", "column:site:north", "--baselines", "learner-only,fedavg", "--keep-models"]
    assert simulate(*words, "--init", "start.safetensors", "--out", "sim") == 0
    capsys.readouterr()
    kept = place / "sim" / "seed-0" / "models" / "fedavg-round-1.safetensors"
    assert run(["evaluate", str(kept), "--data", "npz:all.npz", "--part", "train", "--json"]) == 0
    loss = json.loads(capsys.readouterr().out)["loss"]
    assert [r.rounds[0].loss for r in results(place / "sim").runs] == [pytest.approx(loss, rel=1e-6)] * 3
    assert simulate(*words, "--out", "sim") == 2
    assert "another first model" in capsys.readouterr().err
    save_file({"a": torch.ones(2)}, place / "other.safetensors")
    assert simulate(*words, "--init", "other.safetensors", "--out", "new") == 2
    assert "'other.safetensors' does not fit the plan's model" in capsys.readouterr().err
    save_file({n: v * float("nan") for n, v in load_file(place / "start.safetensors").items()}, place / "nan.safetensors")
    assert simulate(*words, "--init", "nan.safetensors", "--out", "new") == 2
    assert "of the initial weights in 'nan.safetensors' holds NaN or infinity" in capsys.readouterr().err
    assert not (place / "new" / "study.json").exists()


def test_each_group_is_the_learner_in_turn_and_all_are_in_one_table(place, capsys):
    (place / "plan.toml").write_text('candidates = "trajectory"\n' + PLAN.replace("round_steps = 8", "round_steps = 4"))
    words = ["--task", "task.py", "--split", "column:site:each", "--baselines", "learner-only", "--out", "sim"]
    assert simulate(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["groups"]) == ["north", "south", "west, by the sea"]
    assert [each["dealt"][0]["learner"] for each in found["groups"].values()] == [16, 16, 16]
    for algorithm in ("assisted", "learner-only"):
        each = [
            s["metrics"]["AUC"]["mean"]
            for r in found["groups"].values()
            for s in r["summary"]
            if s["algorithm"] == algorithm
        ]
        assert found["means"][algorithm]["AUC"]["mean"] == pytest.approx(sum(each) / 3)
    each = {name: results(place / "sim" / f"group-{number}") for number, name in enumerate(found["groups"], 1)}
    _, head, *lines = table.in_turn("site", each)
    assert head == "accuracy after round 1; in turn one site is the learner, all others together the provider"
    firsts = [line.split("  ")[0] for line in lines]
    assert firsts == ["site", "north", "south", "west, by the sea", "mean over groups"]
    last = found["means"]["assisted"]["accuracy"]
    assert f"{last['mean']:.3f} ± {last['sd']:.3f}" in lines[-1]


def test_what_cannot_be_taken_in_turn_is_refused(place, capsys):
    arguments = ["--task", "task.py", "--split", "column:site:each", "--out", "sim"]
    assert simulate(*arguments, "--round-steps", "4,8") == 2
    assert "several --round-steps, and each group in turn" in capsys.readouterr().err
    (place / "task.py").write_text(TASK.replace('{"site": sites}', '{"row": list(range(48)), "one": [1] * 48 + [2] * 0}'))
    for column, said in (("one", "column 'one' has 1 values, expected 2 to 50"), ("site", "the data have no column 'site'")):
        assert simulate(*arguments[:3], f"column:{column}:each", "--out", "sim") == 2
        assert said in capsys.readouterr().err
    assert not (place / "sim").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "npz:all.npz"], "--data beside --task: a task of your own reads its data itself"),
        (["--held-out", "all.npz"], "--held-out beside --task"),
        (["--table", "all.npz"], "--table beside --task"),
        (["--by", "site"], "--by, --positive and --threshold are for the built-in task"),
        (["--settings", "nowhere.toml"], "there is no file 'nowhere.toml'"),
        (["--settings", "plan.toml"], "plan.toml: settings.optimiser: is a table"),
        (["--settings", "all.npz"], "all.npz is not TOML"),
        (["--init", "nowhere"], "there is no file 'nowhere'"),
        (["--task", "nowhere.py"], "nowhere.py'"),
        (["--split", "column:ward:a"], "the data have no column 'ward', or several\nhint: columns: site"),
        (["--split", "column:site:a"], "no sample has 'a' in that column"),
        (["--samples", "49"], "--samples asks for 49, and the data have 48"),
    ],
)
def test_what_does_not_go_with_a_task_is_refused_in_words(place, capsys, arguments, said):
    assert simulate("--task", "task.py", *arguments, "--out", "sim") == 2
    assert said in capsys.readouterr().err
    assert not (place / "sim" / "study.json").exists()


def test_settings_without_a_task_and_rivals_that_would_be_none_are_refused(place, capsys):
    (place / "own.toml").write_text("ward = 3\n")
    assert simulate("--settings", "own.toml") == 2
    assert "--settings without --task" in capsys.readouterr().err
    said = "'fedavg+distillation' would be as without distillation"
    for loss, refused in (("mse", True), ("cross_entropy", False), ("binary_cross_entropy", False)):
        (place / "plan.toml").write_text(f'loss = "{loss}"\n{PLAN}\n[distillation]\nweight = 0.0\n')
        for data in (["--task", "task.py"], ["--data", "npz:all.npz"]):
            assert simulate(*data, "--baselines", "fedavg+distillation", "--samples", "49") == 2
            assert (said in capsys.readouterr().err) == refused


BROKEN = [
    ("settings.dealt(data, ", "(lambda data, columns: data)(data, ", "make_task of 'task.py' does not say which samples"),
    ("settings.dealt(data, ", "settings.dealt(settings.dealt(data), ", "make_task calls settings.dealt twice"),
    ("settings.dealt(data, ", "settings.dealt(iter(data), ", "settings.dealt was given a iterator, which has no length"),
    ("settings.dealt(data, ", "settings.dealt([], ", "settings.dealt was given no samples"),
    ("columns={", "labels=[1, 2], columns={", "given labels of shape [2], expected a value for each of 48 samples"),
    ("columns={", "labels=[0.5] * 48, columns={", "the split goes by classes, and the labels are no class numbers"),
    ("    data = ", "    settings.own['ward']\n    data = ", "[settings] in site.toml has no 'ward'"),
    ("    data = ", "    raise OSError('the ward\\x1b is closed')\n    data = ", "ward\\x1b is closed (task.py, line 13)"),
    ("    return supervised(", "    return dict(", "make_task of 'task.py' returned a dict, expected a"),
]


@pytest.mark.parametrize(("line", "instead", "said"), BROKEN, ids=[said for *_, said in BROKEN])
def test_what_is_wrong_with_the_file_is_told_before_the_folder_is_taken(place, capsys, line, instead, said):
    (place / "task.py").write_text(TASK.replace(line, instead))
    assert simulate("--task", "task.py", "--split", "complementary:0:0.1", "--out", "sim") == 2
    assert said in capsys.readouterr().err
    assert not (place / "sim" / "study.json").exists()


def test_what_the_task_is_not_made_for_is_told_before_the_folder_is_taken(place, capsys):
    refuses = "    if settings.plan.select_on == 'validation':\n        raise ValueError('nobody is left')\n    data = "
    (place / "task.py").write_text(TASK.replace("    data = ", refuses))
    words = ["--task", "task.py", "--split", "complementary:0:0.1", "--out", "sim"]
    assert simulate(*words, "--baselines", "blended+distillation+validation") == 2
    assert "make_task of 'task.py' raised ValueError: nobody is left (task.py, line" in capsys.readouterr().err
    assert not (place / "sim" / "study.json").exists()


def test_settings_are_what_a_site_would_say(place, capsys):
    (place / "own.toml").write_text('ward = 3\nbeds = ["a"]\n')
    asks = "    assert dict(settings.own) == {'ward': 3, 'beds': ['a']}, settings.own\n    data = "
    (place / "task.py").write_text(TASK.replace("    data = ", asks))
    words = ["--task", "task.py", "--split", "column:ward:a", "--out", "sim"]
    assert simulate(*words, "--settings", "own.toml") == 2
    assert "the data have no column 'ward'" in capsys.readouterr().err  # so far it comes with them alone
    assert simulate(*words) == 2
    assert "make_task of 'task.py' raised AssertionError" in capsys.readouterr().err


def test_the_plans_model_lies_beside_both(place, capsys):
    (place / "net.py").write_text("from alx.tasks.models import mlp\n")
    (place / "plan.toml").write_text(PLAN.replace("alx.tasks.models:mlp", "net.py:mlp"))
    (place / "elsewhere").mkdir()
    shutil.copy("task.py", "elsewhere")
    (place / "elsewhere" / "net.py").write_text("from alx.tasks.models import mlp  # another\n")
    assert simulate("--task", "elsewhere/task.py") == 2
    assert "'net.py' beside --task is another than that beside the plan" in capsys.readouterr().err


def dealt(folder, rounds=2, **changed):
    agreed = plans.altered(plans.load(folder / "plan.toml").plan, {"rounds": rounds})
    own = OwnTask(folder / "task.py", TASK.encode(), {"ward": 3, "beds": ['"a"', "b"]} | changed)
    rng = np.random.default_rng(0)
    split = splits.parse("complementary:0:0.1")
    return parties.deal(own.pool(agreed.plan), split, agreed, None, folder / "dealt", 3, rng, site_file.Metrics())


def test_killed_between_two_rounds_it_goes_on_where_it_was(place):
    whole, goes_on = algorithms.player(dealt(place), "assisted")
    assert not goes_on
    states = [whole(number, None).state for number in (1, 2)]
    shutil.rmtree(place / "dealt")
    first, _ = algorithms.player(dealt(place), "assisted")
    first(1, None)
    again, goes_on = algorithms.player(dealt(place), "assisted")
    assert goes_on
    last = again(2, None).state
    assert all(torch.equal(states[1][name], last[name]) for name in last)


@pytest.mark.parametrize("rounds", [1, 2])
def test_killed_after_the_closing_and_before_the_last_round_is_kept_that_round_is_told_again(place, rounds):
    play, _ = algorithms.player(dealt(place, rounds), "assisted")
    *_, last = (play(number, None) for number in range(1, rounds + 1))
    for _ in range(2):
        again, goes_on = algorithms.player(dealt(place, rounds), "assisted")
        assert goes_on
        told = again(rounds, None)
        assert (told.carried, told.selected) == (last.carried, last.selected)
        assert all(torch.equal(last.state[name], told.state[name]) for name in last.state)


def test_a_party_has_its_own_samples_the_settings_and_no_samples_kept_apart(place):
    (place / "task.py").write_text(
        TASK.replace("    data = ", "    assert dict(settings.own) == {'ward': 3, 'beds': ['\"a\"', 'b']}\n    data = ")
    )
    both = dealt(place)
    assert both.tasks["pooled"].held_out is not None
    assert both.tasks["learner"].held_out is both.tasks["provider"].held_out is None
    counts = {name: task.measure(task.new_model().eval()).count for name, task in both.tasks.items()}
    assert counts == {**both.samples, "pooled": 48}


class Blocks:
    """A data set that is indexed without a loop."""

    def __len__(self):
        return 5

    def samples_at(self, indices):
        return indices.float()[:, None], indices * 10

    def __getitem__(self, index):
        return torch.tensor([float(index)]), index * 10


class Single:
    """One that gives one sample after the other."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if not 0 <= index < 5:
            raise IndexError
        return torch.tensor([float(index)]), index * 10


NUMBERS = torch.arange(5)


@pytest.mark.parametrize("data", [TensorDataset(NUMBERS[:, None].float(), NUMBERS * 10), Blocks(), Single()])
def test_some_samples_of_any_data_set_are_those_samples(data):
    deal = Deal([1, 4])
    part = samples.of(deal(data, None, {}))
    inputs, targets = part.samples_at(torch.tensor([1, 0]))
    assert (inputs.tolist(), targets.tolist(), len(part)) == ([[4.0], [1.0]], [40, 10], 2)
    assert deal.found.classes().tolist() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("values", [[5, 6, 7], (5, 6, 7), np.array([5, 6, 7]), torch.tensor([5, 6, 7])])
def test_a_list_of_environments_is_dealt_out_as_a_list(values):
    part = Deal([0, 2])(values, None, {})
    assert type(part) is type(values)
    assert list(part) == [5, 7]


def test_in_a_site_all_samples_are_the_partys(tmp_path):
    settings = Settings(plans.parse(PLAN.encode()).plan, Own(), tmp_path, torch.device("cpu"))
    data = Single()
    assert settings.dealt(data, columns={"site": "wrong"}) is data


def test_numbers_of_ones_own_have_their_own_names_and_the_first_is_the_score(both):
    found = results(both / "own")
    named = {"found in time": 0.75, "missed": 0.125, "ward a: missed": 0.5}
    last = found.runs[0].rounds[0].model_copy(update={"score": 0.75, "metrics": named})
    runs = [found.runs[0].model_copy(update={"rounds": [last]})]
    score = simulation._scored(SimpleNamespace(own=True), runs)
    summary = summarise(runs, shares=shares(score))
    _, header, line, *_ = table.found(
        found.model_copy(update={"score": score, "runs": runs, "summary": summary, "dealt": []}), both, [both]
    )
    assert (score, shares(score), shares("accuracy")) == ("found in time", False, True)
    assert re.split("  +", header)[:4] == ["after round 1", "found in time", "missed", "loss a sample"]
    assert line.split()[:3] == ["assisted", "0.750", "0.125"]


def test_a_value_with_a_comma_is_one_group():
    split = splits.alone("site", "a, b")
    learner, provider = split.deal(np.array(["a", "a, b", "b"]), np.random.default_rng(0))
    assert (learner.tolist(), provider.tolist(), split.text) == ([1], [0, 2], "column:site:a, b")


def test_labels_that_are_not_there_are_told():
    deal = Deal()
    deal([1.0, 2.0], None, {})
    with pytest.raises(ConfigError, match="a sample of the data set has a Tensor, expected"):
        deal.found.classes()
