"""A turn that validation ends: at the step of its best, recognised as honest, the same whatever interrupts it."""

import math
import shutil

import pytest
import torch

from alx import files, plan
from alx.cli.main import run
from alx.errors import PeerError
from alx.learning import state, trajectory
from alx.learning.task import LossSum, Task
from alx.learning.validation import Validation, best
from alx.site.work import Work
from alx.turns import bridge, checkpoints
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import Forge, refused_import
from tests.turns.test_training import normed_task

PATIENT = (
    PLAN.replace("round_steps = 12", "round_steps = { learner = 40, provider = 30 }")
    .replace("sampling_period = 2", 'sampling_period = 8\nselect_on = "validation"\nvalidation_share = 0.4')
    .replace("lr = 0.01", "lr = 0.3")  # it overshoots at once, and learns its few samples by heart
    + "\n[training]\npatience = 2\nvalidations = 10\n"
)


# --- the curve


@pytest.mark.parametrize(
    ("means", "at", "over"),
    [
        ([], None, False),
        ([3.0], 1, False),
        ([3.0, 2.0, 1.0], 3, False),
        ([1.0, 2.0], 1, False),
        ([1.0, 2.0, 1.5], 1, True),
        ([1.0, 1.0, 1.0], 1, True),  # no better is not better
        ([2.0, 3.0, 1.0, 4.0], 3, False),
        ([2.0, 3.0, 1.0, 4.0, 4.0], 3, True),
        ([math.nan, 2.0, math.inf], 2, False),
        ([math.nan, math.inf, math.nan], 1, True),
    ],
)
def test_a_run_is_over_after_so_many_validations_that_were_no_better(means, at, over):
    curve = list(enumerate(means, 1))
    assert Validation(5, patience=2).over(curve) is over
    assert Validation(5).over(curve) is False
    assert at is None or best(curve) == at


def test_a_run_is_validated_at_every_period_and_at_its_end():
    assert [step for step in range(1, 12) if Validation(4).due(step, 11)] == [4, 8, 11]


def test_a_plan_says_when_and_where_a_turn_may_end():
    agreed = plan.parse(PATIENT.encode()).plan
    assert agreed.validation_period(40) == 4
    assert [end for end in range(41) if agreed.ends_early(40, end)] == [4, 8, 12, 16, 20, 24, 28]
    assert agreed.schedule("learner", 1, 1) == [0, 8, 16, 24, 32, 40]
    assert agreed.schedule("learner", 1, 1, 20) == [0, 8, 16, 20]
    impatient = agreed.model_copy(update={"training": agreed.training.model_copy(update={"patience": None})})
    assert not any(impatient.ends_early(40, end) for end in range(41))


# --- the run


def ranked(means):
    """A task whose model counts its steps; its mean loss after each step is in the list."""

    class Counts:
        def __init__(self, model):
            self.model = model

        def step(self):
            with torch.no_grad():
                self.model.weight += 1
            return float(torch.rand(()))

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    def new_model():
        torch.manual_seed(0)
        return torch.nn.Linear(1, 1, bias=False).requires_grad_(requires_grad=False)

    def measure(model):
        torch.rand(3)  # what it draws is no matter to the run
        start = float(new_model().weight)
        return LossSum(2 * means[round(float(model.weight) - start)], 2)

    return Task(new_model, lambda model, _seed: Counts(model), measure)


def play(means, steps, validation, period=100):
    task = ranked(means)
    one = trajectory.Run(task, {n: v.clone() for n, v in task.new_model().state_dict().items()}, 1, steps, validation)
    losses = []
    taken = [step for step, _ in trajectory.sample(one, steps, period, lambda _step, loss: losses.append(loss))]
    return one, taken, losses


def test_a_run_keeps_its_best_and_ends_when_it_is_over():
    means = [9, 8, 7, 7, 6, 6, 5, 5, 6, 6, 7, 7, 4]
    one, taken, _ = play(means, 12, Validation(2, patience=2), period=5)
    assert one.at == 10
    assert one.curve == [(2, 7), (4, 6), (6, 5), (8, 6), (10, 7)]
    assert taken == [0, 2, 4, 5, 6, 10]


def test_a_run_that_is_only_looked_at_keeps_no_more_and_goes_on_as_it_would_have():
    means = list(range(20))
    plain, looked_at = play(means, 12, None, 5), play(means, 12, Validation(2), 5)
    assert plain[1:] == looked_at[1:]
    assert looked_at[0].curve == [(s, s) for s in (2, 4, 6, 8, 10, 12)]


def test_dropout_and_batch_norm_go_on_as_without_validation():
    task = normed_task()
    ends = []
    for validation in (None, Validation(3)):
        trajectory.seed_all(0)
        one = trajectory.Run(task, state.fresh(task), 1, 10, validation)
        *_, (_, last) = trajectory.sample(one, 10, 10, lambda _step, _loss: None)
        ends.append(last)
    assert all(torch.equal(ends[0][n], ends[1][n]) for n in ends[0])
    assert [step for step, _ in one.curve] == [3, 6, 9, 10]


def test_a_run_that_ended_ends_at_the_same_step_when_it_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "TIMES_ITS_COST", 0)  # a checkpoint after each step
    means = [9, 5, 6, 6, 6, 6, 6, 6, 6]
    task = ranked(means)
    start = state.fresh(task)

    class KilledError(Exception):
        pass

    def sampled(dies=None):
        def tell(step, _loss):
            if step == dies:
                raise KilledError

        one = trajectory.Run(task, start, 1, 8, Validation(1, patience=3))
        return checkpoints.sample(one, Work(tmp_path / "work", {}), bridge.layout_of(start), 8, 4, tell)

    for dies in (2, 3, 4):
        with pytest.raises(KilledError):
            sampled(dies)
    assert [sampled(), sampled()] == [1, 1]


# --- the exchange


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Both sides' first turn and the learner's second, which has blends; each sealed, and not imported by its receiver."""
    world = pair_world(make_world(tmp_path_factory.mktemp("patience") / "w", PATIENT))
    stages = {}

    def keep(name):
        stages[name] = shutil.copytree(world.root, world.root.parent / name)

    keep("paired")
    bundle = world.turn("learner")
    keep("first")
    assert world.take("provider", bundle) == 0
    bundle = world.turn("provider")
    keep("answer")
    assert world.take("learner", bundle) == 0
    world.turn("learner")
    keep("second")
    return stages


@pytest.fixture
def at(played, tmp_path):
    return lambda name: World(shutil.copytree(played[name], tmp_path / name))


def steps_of(world, role, round_=1):
    return [c["step"] for c in Forge.of(world, role, round_).manifest()["candidates"] if c["step"] is not None]


def test_turns_end_where_the_plan_lets_them_and_an_exchange_goes_through(at):
    world = at("second")
    agreed = world.site("learner").plan
    found = [steps_of(world, "learner"), steps_of(world, "provider"), steps_of(world, "learner", 2)]
    assert all(agreed.ends_early(n, s[-1]) for n, s in zip((40, 30, 40), found, strict=True))
    for role, steps in zip(("learner", "provider", "learner"), found, strict=True):
        assert steps == agreed.schedule(role, 1, 1, steps[-1])
    blends = [c["blend"] for c in Forge.of(world, "learner", 2).manifest()["candidates"] if c["blend"]]
    assert blends
    assert {(b["own_step"], b["peer_step"]) for b in blends} == {(found[2][-1], found[1][-1])}


def test_the_command_says_that_a_turn_ended_early(at, alx):
    world = at("paired")
    told = alx("train-local", "--site", world.folder("learner"))
    assert f"the turn ended at step {steps_of(at('first'), 'learner')[-1]} of 40: then the validation loss" in told.out


def test_a_turn_without_patience_goes_to_its_end(tmp_path):
    world = pair_world(make_world(tmp_path / "w", PATIENT.replace("patience = 2\n", "")))
    world.turn("learner")
    assert steps_of(world, "learner") == [0, 8, 16, 24, 32, 40]


class _KilledError(BaseException):
    """Nobody catches it."""


def test_killed_at_any_write_an_ended_turn_is_the_same(at, monkeypatch):
    world, write, kills = at("paired"), files.write, 0
    for survive in (0, 1, 2, 4, 6, 8, 10):  # from write to write further: what was done before is not done again
        left = [survive]

        def killed(path, data, *rest, left=left, **named):
            left[0] -= 1
            if left[0] < 0:
                write(path, bytes(data)[: len(data) // 2], *rest, **named)
                raise _KilledError
            write(path, data, *rest, **named)

        with monkeypatch.context() as patched:
            patched.setattr(files, "write", killed)
            patched.setattr(checkpoints, "TIMES_ITS_COST", 0)  # a checkpoint after every step
            try:
                run(["train-local", "--site", str(world.folder("learner"))])
                break
            except _KilledError:
                kills += 1
    assert kills >= 4
    world.turn("learner")
    found, whole = (Forge.of(each, "learner").manifest()["candidates"] for each in (world, at("first")))
    assert found == whole


def shortened(forge, last):
    """Say that the turn ended at another step: the last snapshot's."""
    forge.edit(lambda m: m["candidates"][-1].update(step=last))


@pytest.mark.parametrize("forged", [13, 32])  # no step of validation; one after which nobody can have waited
def test_an_end_that_validation_cannot_have_brought_is_refused(at, capsys, forged):
    world = at("first")
    assert steps_of(world, "learner") == [0, 8, 12]
    shortened(Forge.of(world, "learner"), forged)
    words = f"up to step {forged}, expected 6 up to 40 by the plan"
    refused_import(capsys, world, "provider", world.bundle("learner"), PeerError, words)


def test_a_shorter_turn_without_the_snapshots_of_its_steps_is_refused(at, capsys):
    world = at("first")
    shortened(Forge.of(world, "learner"), 20)  # 16 is missing
    words = "3 snapshots up to step 20, expected 4 up to 20 by the plan"
    refused_import(capsys, world, "provider", world.bundle("learner"), PeerError, words)


def test_a_blend_of_another_step_than_ours_is_refused(at, capsys):
    world = at("second")
    Forge.of(world, "learner", 2).edit(lambda m: [c["blend"].update(peer_step=30) for c in m["candidates"] if c["blend"]])
    words = f"of step 30 of our bundle, whose last is {steps_of(world, 'provider')[-1]}"
    refused_import(capsys, world, "provider", world.bundle("learner", 2), PeerError, words)
