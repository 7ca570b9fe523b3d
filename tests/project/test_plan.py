"""Plans as files: written and read again they are the same, and altered they say what was asked for."""

import re

import pytest

from alx import plan as plans
from alx.errors import ConfigError
from alx.study import algorithms
from tests.generated import ROOT

TINY = 'name = "x"\nrounds = 1\nround_steps = 8\noptimiser = { name = "sgd", lr = 0.1 }\n'
PLANS = sorted((p for p in (ROOT / "examples").rglob("*.toml") if not p.name.endswith(".table.toml")), key=str)


@pytest.mark.parametrize("path", [p for p in PLANS if p.name != "site.toml"], ids=lambda p: p.parent.name + "/" + p.name)
def test_a_plan_that_is_written_is_the_plan_that_was_read(path):
    read = plans.load(path).plan
    assert plans.parse(plans.written(read)).plan == read


def test_names_of_every_kind_are_written_so_that_they_are_read():
    odd = 'settings = { "a b\\u007f" = ["\\"é\\t", 1e-5, true, -3] }\nround_steps = { learner = 3, provider = 4 }\n'
    read = plans.parse((TINY.replace("round_steps = 8\n", odd)).encode()).plan
    assert plans.parse(plans.written(read)).plan == read


def test_altered_in_a_table_it_keeps_the_rest_of_the_table():
    read = plans.parse((TINY + "[distillation]\ntemperature = 3.0\n").encode()).plan
    made = plans.altered(read, {"seed": 9, "distillation": {"weight": 0.5}})
    assert (made.plan.seed, made.plan.distillation.weight, made.plan.distillation.temperature) == (9, 0.5, 3.0)
    assert plans.parse(made.data) == made
    with pytest.raises(ConfigError, match=r"distillation\.weight"):
        plans.altered(read, {"distillation": {"weight": -1.0}})


@pytest.mark.parametrize(("steps", "found"), [(1, [0, 1]), (2, [0, 1, 2]), (400, [0, 200, 400]), (401, [0, 201, 401])])
def test_without_a_sampling_period_a_turn_has_few_snapshots(steps, found):
    read = plans.parse(TINY.replace("round_steps = 8", f"round_steps = {{ learner = {steps}, provider = 1 }}").encode()).plan
    assert read.schedule("learner", 5, 5) == found


@pytest.mark.parametrize(
    ("more", "weight"),
    [
        ("", 1.0),
        ("[distillation]\ntemperature = 2.0\n", 1.0),
        ("[distillation]\nweight = 0.0\n", 0.0),
        ("[distillation]\nweight = 0.25\n", 0.25),
    ],
)
def test_a_plan_holds_a_turn_to_its_start_unless_it_says_otherwise(more, weight):
    assert plans.parse((TINY + more).encode()).plan.distillation.weight == weight


def test_labels_are_held_as_classes_are():
    assert plans.parse(('loss = "binary_cross_entropy"\n' + TINY).encode()).plan.distillation.weight == 1.0


@pytest.mark.parametrize("loss", ["own", "mse"])
def test_other_losses_are_held_only_where_the_plan_says_so(loss):
    assert plans.parse((f'loss = "{loss}"\n' + TINY).encode()).plan.distillation.weight == 0
    said = plans.parse((f'loss = "{loss}"\n' + TINY + "[distillation]\nweight = 0.5\n").encode())
    assert said.plan.distillation.weight == 0.5


def test_kinds_of_assistance_differ_in_what_they_say():
    read = plans.parse((TINY + "[distillation]\nweight = 0.0\n").encode()).plan
    said = {
        name: (p.candidates, p.distillation.weight > 0, p.select_on)
        for name, p in ((a, algorithms.agreed(read, a).plan) for a in algorithms.ASSISTED)
    }
    assert said == {
        "assisted": ("blended", False, "training"),
        "paper": ("trajectory", False, "training"),
        "blended": ("blended", False, "training"),
        "blended+distillation": ("blended", True, "training"),
        "blended+distillation+validation": ("blended", True, "validation"),
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[traning]\nclip = 1.0\n", "traning: extra inputs are not permitted (got {'clip': 1.0}), nearest: 'training'"),
        ("[training]\nclips = 1.0\n", "training.clips: extra inputs are not permitted (got 1.0), nearest: 'clip'"),
        ("[training]\nzzz = 1.0\n", "training.zzz: extra inputs are not permitted (got 1.0)"),
        (
            '[training]\nschedule = "cosine"\n',
            "training.schedule: expected a table of name, warmup, min_lr, step_size, gamma (got 'cosine')",
        ),
        ('[training]\nno_decay = "x"\n', "training.no_decay: expected a list (got 'x')"),
    ],
)
def test_a_misfit_is_refused_with_the_nearest_field_or_what_has_to_stand_there(line, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        plans.parse(f'name = "any"\nrounds = 1\nround_steps = 1\n[optimiser]\nname = "adam"\n{line}'.encode())
