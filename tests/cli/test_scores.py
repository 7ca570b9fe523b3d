"""What a model is worth on samples kept apart, on the screens: beside the answer that needs no model, and by group."""

import json

import numpy as np
import pytest

from alx.errors import ConfigError
from alx.report import scores, selection
from alx.site import site_file
from alx.tasks.data import kinds
from tests.conftest import PLAN, make_world, pair_world, run


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """An import's screen where the provider knows which ward a sample comes from."""
    root = tmp_path_factory.mktemp("scores")
    world = make_world(root)
    with np.load(root / "provider.npz") as held:
        arrays = dict(held)
    wards = np.array(["\x1b[2Jnorth", "south"] * 5)
    np.savez(root / "provider.npz", **arrays, test_ward=wards)
    site = world.folder("provider") / "site.toml"
    site.write_text(site.read_text() + '\n[metrics]\nby = ["ward"]\n')
    pair_world(world)
    bundle = world.turn("learner")
    return world, arrays, bundle


def test_an_import_tells_them_and_the_ledger_keeps_them(told, capsys):
    world, arrays, bundle = told
    assert world.take("provider", bundle) == 0
    screen = capsys.readouterr().out
    selected = world.state("provider").position.selected[-1]
    worth = selected.metrics
    assert worth.values["accuracy"] == selected.held_out
    most = np.bincount(arrays["test_labels"]).max() / len(arrays["test_labels"])
    assert worth.majority["accuracy"] == most
    assert ["accuracy", f"{selected.held_out:.4f}", f"{most:.4f}"] in [line.split() for line in screen.splitlines()]
    assert worth.groups["ward"]["south"]["samples"] == 5
    assert "\\x1b[2Jnorth" in screen
    assert "\x1b" not in screen
    assert run(["status", "--site", str(world.folder("provider"))]) == 0
    assert f"accuracy {selected.held_out:.4f} ({most:.4f} without a model)" in capsys.readouterr().out
    assert run(["status", "--json", "--site", str(world.folder("provider"))]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["values"] == worth.values


def test_they_stay_at_home(told):
    world, _, _ = told
    bundle = world.turn("provider")
    for path in bundle.rglob("*"):
        if path.is_file():
            assert b"accuracy" not in path.read_bytes()
            assert b"ward" not in path.read_bytes()
    assert "sensitivity" not in (world.folder("provider") / "events.sqlite").read_bytes().decode("latin-1")


def test_they_choose_no_model(told, tmp_path):
    world, _, _ = told
    other = pair_world(make_world(tmp_path))
    assert other.take("provider", other.turn("learner")) == 0
    here, there = (w.state("provider").position.selected[0] for w in (world, other))
    assert (here.label, here.global_loss) == (there.label, there.global_loss)
    assert there.metrics.groups == {}


def test_a_table_has_what_came_before_and_leaves_single_classes_to_those_who_ask():
    values = {"accuracy": 0.9, "AUC": None, "sensitivity of class ill": 0.5}
    lines = scores.table(values, {"accuracy": 0.8}, {}, {"accuracy": 0.7})
    assert [line.split() for line in lines] == [
        ["on", "samples", "kept", "apart", "now", "before", "no", "model"],
        ["accuracy", "0.9000", "0.7000", "0.8000"],
        ["AUC", "-", "-", "-"],
    ]
    assert "sensitivity of class ill" in scores.table(values, {}, {}, whole=True)[3]
    assert scores.line(values, {"accuracy": 0.8}) == "accuracy 0.9000 (0.8000 without a model)"


def test_groups_show_every_accuracy_in_the_order_of_all_and_count_positives():
    values = {"accuracy": 0.9, "mean cost": 0.1, "accuracy of the cheapest": 0.8, "AUC": 0.7, "F1": 0.5, "sensitivity": 0.6}
    one = {"samples": 9.0, "positives": 2.0, "no model": 0.7} | values
    other = {"samples": 3.0, "positives": 0.0, "no model": 1.0} | values | {"AUC": None, "accuracy": 0.5}
    for groups in ({"a": one, "b": other}, {"b": other, "a": one}):
        lines = scores.table(values, {}, {"ward": groups})
        head = lines[lines.index("") + 1]
        names = ["ward", "samples", "positives", "accuracy", "no model", "mean cost", "accuracy of the cheapest", "AUC"]
        assert " ".join(head.split()) == " ".join([*names, "sensitivity"])
        assert lines[lines.index("") + 2 + list(groups).index("a")].split()[:5] == ["a", "9", "2", "0.9000", "0.7000"]


def test_what_a_doctor_would_misread_deserves_a_look():
    values, bare = {"accuracy": 0.9437, "AUC": 0.7, "mean cost": 0.96}, {"accuracy": 0.95, "mean cost": 0.95}
    found = {"benign": [20, 0], "malignant": [4, 0]}
    assert scores.looks(values, bare, {"mean cost": 0.7875}, found) == [
        "LOOK: accuracy 0.9437 is worse than 0.9500, which the same answer for everybody has",
        "LOOK: mean cost 0.9600 is worse than 0.9500, which the same answer for everybody has",
        "LOOK: mean cost got worse since the last selection, from 0.7875 to 0.9600",
        "LOOK: no sample of malignant (4) was answered rightly",
    ]
    assert scores.looks({"accuracy": 0.95}, {"accuracy": 0.95}, None, {"a": [0, 0], "b": [0, 3]}) == []
    rounded = {"minus the squared error": -9.514405372550192, "mean cost": 0.5}
    assert scores.looks(rounded, {"minus the squared error": -9.514405372550165}, {"mean cost": 0.5 - 1e-9}) == []
    assert scores.looks({}, {}) == []


def test_numbers_of_ones_own_by_group_are_shown_as_they_are():
    groups = {"a": {"samples": 3.0, "found": 0.5, "positives": 0.31}, "b": {"samples": 2.0, "found": 0.1, "positives": None}}
    lines = scores.table({"found": 0.4}, {}, {"ward": groups})
    assert [line.split() for line in lines[lines.index("") + 2 :]] == [
        ["a", "3", "0.3100", "0.5000"],
        ["b", "2", "-", "0.1000"],
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "0.5000"),
        (-0.0012, "-0.0012"),
        (-1.23456e-10, "-1.235e-10"),
        (1.5e-05, "1.5e-05"),
        (-2e-16, "0.0000"),
        (0.0, "0.0000"),
        (12345.678, "1.235e+04"),
    ],
)
def test_a_number_says_something_however_small_it_is(value, shown):
    assert scores.table({"RMSE": value}, {}, {})[1].split() == ["RMSE", shown]


def test_losses_of_small_numbers_are_told_apart_in_a_selection(stage):
    found = stage("answered").state("provider").position.selected[-1]
    signed, own = ([i * 1e-9 + 1e-8 for i in range(len(found.labels))] for _ in range(2))
    lines = selection.table(found._replace(signed=tuple(signed), own=tuple(own)))
    means = [line.replace("<- chosen", "").split()[-1] for line in lines[1:]]
    assert means == [f"{2 * each / found.samples:.4g}" for each in own]
    assert len({*means}) == len(means)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('by = ["bed"]', "'provider.npz' has no column 'bed'"),
        ('positive = "ill"', "the positive class is 'ill', and the plan names no such class"),
        ("threshold = 1.0", "metrics.threshold"),
        ("threshold = 0.05", "a threshold of 0.05, and the model tells no two classes apart"),
        ('positive = "1"', "the positive class is '1', and the model tells no two classes apart"),
    ],
)
def test_what_is_asked_for_and_is_not_there_is_refused(tmp_path, capsys, text, message):
    world = make_world(tmp_path)
    site = world.folder("provider") / "site.toml"
    site.write_text(f"{site.read_text()}\n[metrics]\n{text}\n")
    assert run(["check", "--site", str(site.parent)]) == 2
    assert message in capsys.readouterr().err


def test_a_threshold_is_refused_where_the_plan_has_costs(tmp_path, capsys):
    costs = "[objective.costs]\n0 = { 1 = 1.0, 2 = 1.0 }\n1 = { 0 = 1.0, 2 = 1.0 }\n2 = { 0 = 5.0, 1 = 5.0 }\n"
    world = make_world(tmp_path, PLAN + costs)
    site = world.folder("provider") / "site.toml"
    assert run(["check", "--site", str(site.parent)]) == 0
    site.write_text(f"{site.read_text()}\n[metrics]\nthreshold = 0.2\n")
    assert run(["check", "--site", str(site.parent)]) == 2
    assert "a threshold of 0.2, and the plan has costs" in capsys.readouterr().err


def test_metrics_of_the_built_in_task_are_refused_where_nothing_heeds_them(tmp_path, capsys):
    world = make_world(tmp_path)
    site = world.folder("learner") / "site.toml"
    text = site.read_text()
    site.write_text(f'{text}\n[metrics]\nby = ["sex"]\n')
    with np.load(tmp_path / "learner.npz") as held:
        np.savez(tmp_path / "learner.npz", train_images=held["train_images"], train_labels=held["train_labels"])
    assert run(["check", "--site", str(site.parent)]) == 2
    assert "[metrics] by names columns of the samples kept apart, and there are none" in capsys.readouterr().err
    site.write_text(f"{text}\n[metrics]\nthreshold = 0.2\n".replace('task = "built-in"', 'task = "task.py"'))
    (site.parent / "task.py").write_text("def make_task(settings): ...\n")
    assert run(["check", "--site", str(site.parent)]) == 2
    assert "site.toml has [metrics], and 'task.py' is a task of your own" in capsys.readouterr().err


def test_a_table_is_told_by_a_column_that_is_no_feature(tmp_path):
    (tmp_path / "kept.csv").write_text("x,y,hospital\n1,0, north \n2,1,south\n")
    source = site_file.named(f"csv:{tmp_path / 'kept.csv'}", None)
    assert kinds.column(source, tmp_path, "hospital", 2) == ["north", "south"]
    with pytest.raises(ConfigError, match=r"column 'hospital' of 'kept\.csv' has 2 cells, expected 3"):
        kinds.column(source, tmp_path, "hospital", 3)
    with pytest.raises(ConfigError, match=r"'kept\.csv' has no column 'ward'") as told:
        kinds.column(source, tmp_path, "ward", 2)
    assert told.value.hint.startswith("columns, by the plan's names: x, y, hospital")
    (tmp_path / "kept.csv").write_text("x,y,hospital,hospital,,\n1,0,north,a,,\n2,1,south,b,,\n")
    with pytest.raises(ConfigError, match=r"'kept\.csv' has no column 'hospital', or several") as told:
        kinds.column(source, tmp_path, "hospital", 2)
    assert told.value.hint.startswith("columns, by the plan's names: x, y")
    folder = site_file.named(f"images:{tmp_path}", None)
    with pytest.raises(ConfigError, match="data of the kind images have no columns"):
        kinds.column(folder, tmp_path, "ward", 2)


def test_an_npzs_column_may_hold_words_or_numbers(tmp_path):
    rows = {"test_images": np.zeros((2, 4), np.float32), "test_labels": np.zeros(2, int)}
    np.savez(tmp_path / "a.npz", **rows, test_ward=np.array(["a", "b"]), test_sex=np.array([0, 1], np.uint8))
    source = site_file.named(f"npz:{tmp_path / 'a.npz'}", None)
    assert kinds.column(source, tmp_path, "ward", 2) == ["a", "b"]
    assert kinds.column(source, tmp_path, "sex", 2) == ["0", "1"]
    with pytest.raises(ConfigError, match=r"'a\.npz' has no column 'labels'"):
        kinds.column(source, tmp_path, "labels", 2)
