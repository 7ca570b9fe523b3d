"""The plan's [training] of a step: schedules, clipping, weights without decay, accumulated batches; killed and gone on."""

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx import plan, training
from alx.errors import ConfigError, nearest
from alx.learning import state, trajectory
from alx.schedule import Schedule
from alx.tasks import check_task, policy_gradient, supervised, sync_vector
from alx.tasks.distillation import term
from alx.tasks.guard import guarded, refuse_unsafe
from alx.tasks.objective import optimisers
from alx.training import Training
from tests.tasks.test_policy_gradient import Levers, adam

HEAD = 'name = "x"\nrounds = 1\nround_steps = 100\noptimiser = { name = "adamw", lr = 0.01, weight_decay = 0.1 }\n'
EVERYTHING = Training(
    schedule=Schedule(name="cosine", warmup=0.3),
    clip=0.1,
    no_decay=["bias_and_norm"],
    accumulate=2,
    precision="bfloat16",
    balanced=True,
)
CROSS = nn.CrossEntropyLoss(reduction="none")


def rows(count=21):
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    return TensorDataset(x, torch.arange(count) % 3)


def model():
    return nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3))


def task(training, *, data=None, optimiser=None, net=model, loss=CROSS, **more):
    made = optimiser or optimisers("adamw", {"lr": 0.01, "weight_decay": 0.1})
    return supervised(net, data or rows(), loss, made, **({"batch_size": 4, "training": training} | more))


def begun(made, steps=10, seed=5):
    trajectory.seed_all(0)
    return trajectory.Run(made, state.fresh(made), seed, steps)


def rates(schedule, steps, lr=1.0):
    """The rate of each step of a turn."""
    run = begun(task(Training(schedule=schedule), optimiser=lambda p: torch.optim.SGD(p, lr=lr)), steps)
    told = []
    for _ in trajectory.sample(run, steps, steps, lambda _step, _loss: told.append(run.rate)):
        pass
    return told


# --- schedules


def test_a_rate_falls_along_half_a_cosine_to_its_end():
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * t / 8)) / 2 for t in range(8)]
    assert rates(Schedule(name="cosine", min_lr=0.1), 8) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0.25, 3])
def test_a_rate_rises_in_equal_steps_and_then_begins_its_schedule_at_the_top(warmup):
    expected = [0.25, 0.5, 0.75] + [(1 + math.cos(math.pi * t / 9)) / 2 for t in range(9)]
    assert rates(Schedule(name="cosine", warmup=warmup), 12) == pytest.approx(expected)


def test_a_rate_drops_at_shares_of_the_turn():
    assert rates(Schedule(name="step", step_size=0.5, gamma=0.5), 8) == pytest.approx([1.0] * 4 + [0.5] * 4)
    assert rates(Schedule(name="step"), 10) == pytest.approx([1.0] * 4 + [0.1] * 4 + [0.01] * 2)


def test_a_rate_goes_up_and_down_in_one_cycle():
    found = rates(Schedule(name="one_cycle"), 20, 0.5)
    assert found[0] == pytest.approx(0.5 / 25)  # OneCycleLR's own division
    assert max(found) == found[5] == pytest.approx(0.5)
    assert found[-1] == pytest.approx(0.5 / 25 / 1e4)
    assert found[5:] == sorted(found[5:], reverse=True)


def test_a_warm_up_alone_ends_at_the_rate_of_the_optimiser():
    assert rates(Schedule(warmup=2), 5) == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])


def test_a_turn_shorter_than_its_warm_up_only_rises():
    assert rates(Schedule(name="cosine", warmup=50), 3) == pytest.approx([0.25, 0.5, 0.75])


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [None, 0.4, 1])
def test_the_shortest_turns_have_a_rate_above_0(name, steps, warmup):
    found = rates(Schedule(name=name, warmup=warmup), steps)
    assert len(found) == steps
    assert all(0 < rate <= 1 for rate in found)


def test_the_rate_is_as_long_as_the_turn_whatever_side_has_more_steps():
    short, long = (rates(Schedule(name="cosine"), steps) for steps in (4, 8))
    assert short == pytest.approx(long[::2])


def test_a_schedule_without_a_turns_length_is_refused():
    with pytest.raises(ConfigError, match="does not know how long the turn is") as caught:
        begun(task(Training(schedule=Schedule(name="cosine"))), None).trainer.step()
    assert "pace(steps)" in caught.value.hint


class _Kind:
    """No optimiser of torch's."""

    def __init__(self, parameters):
        self.inside = torch.optim.SGD(parameters, lr=0.1)

    def __getattr__(self, name):
        if name == "param_groups":
            raise AttributeError
        return getattr(self.inside, name)


def test_an_optimiser_that_torch_cannot_schedule_is_refused_and_one_without_a_rate_is_not():
    with pytest.raises(ConfigError, match="has a schedule, and the optimiser is a _Kind"):
        begun(task(Training(schedule=Schedule(warmup=2)), optimiser=_Kind))
    run = begun(task(Training(), optimiser=_Kind))
    run.trainer.step()
    assert run.rate is None


def test_a_trainer_of_ones_own_is_told_the_turns_length_and_what_it_raises_is_reported():
    whole = task(Training())

    class Own:
        def __init__(self, model, told):
            self.trainer, self.told = whole.trainer(model, 0), told

        def step(self):
            return self.trainer.step()

        def state_dict(self):
            return self.trainer.state_dict()

        def load_state_dict(self, saved):
            self.trainer.load_state_dict(saved)

        def pace(self, steps):
            self.told.append(20 // steps)

        def rate(self):
            return self.told[0]

    told = []
    own = guarded(dataclasses.replace(whole, trainer=lambda model, _seed: Own(model, told)), 0)
    assert (begun(own, 10).rate, told) == (2.0, [2])
    with pytest.raises(ConfigError, match="the trainer's pace raised ZeroDivisionError"):
        begun(own, 0)
    told[:] = ["fast"]
    with pytest.raises(ConfigError, match="the trainer's rate gave a str, expected a number"):
        begun(own).rate  # noqa: B018 - it is asked


# --- clipping


def test_a_steps_gradients_are_no_longer_than_said():
    """By SGD with a rate of 1 a step is as long as its gradients."""
    far = TensorDataset(100 * torch.ones(8, 4), torch.zeros(8, dtype=torch.long))
    lengths = []
    for clip in (None, 0.5, 1e6):
        run = begun(task(Training(clip=clip), data=far, optimiser=lambda p: torch.optim.SGD(p, lr=1.0), batch_size=8))
        before = torch.cat([p.detach().clone().flatten() for p in run.model.parameters()])
        run.trainer.step()
        after = torch.cat([p.detach().flatten() for p in run.model.parameters()])
        lengths.append(float((after - before).norm()))
    assert lengths[1] == pytest.approx(0.5, rel=1e-4)
    assert lengths[0] == lengths[2] > 1


def test_accumulated_gradients_are_clipped_once_and_together():
    run = begun(task(Training(clip=1e-3, accumulate=3), optimiser=lambda p: torch.optim.SGD(p, lr=1.0)))
    before = torch.cat([p.detach().clone().flatten() for p in run.model.parameters()])
    run.trainer.step()
    after = torch.cat([p.detach().flatten() for p in run.model.parameters()])
    assert float((after - before).norm()) == pytest.approx(1e-3, rel=1e-3)


# --- weight decay


def groups(*no_decay):
    """Names of the parameters that decay, and of those that do not."""
    found = []

    def optimiser(parameters):
        found.extend(parameters)
        return torch.optim.AdamW(found, weight_decay=0.1)

    run = begun(task(Training(no_decay=list(no_decay)), optimiser=optimiser))
    names = {id(p): name for name, p in run.model.named_parameters()}
    return [({names[id(p)] for p in group["params"]}, group["weight_decay"]) for group in found]


def test_biases_and_norms_do_not_decay():
    assert groups("bias_and_norm") == [({"0.weight", "3.weight"}, 0.1), ({"0.bias", "1.weight", "1.bias", "3.bias"}, 0.0)]


def test_parameters_are_told_by_patterns():
    assert groups("0.*", "3.bias") == [({"1.weight", "1.bias", "3.weight"}, 0.1), ({"0.weight", "0.bias", "3.bias"}, 0.0)]
    assert groups("*") == [({f"{i}.{kind}" for i in (0, 1, 3) for kind in ("weight", "bias")}, 0.0)]


def test_a_weight_that_does_not_decay_stays_where_its_gradient_is_0():
    nothing = TensorDataset(torch.zeros(4, 4), torch.zeros(4, dtype=torch.long))
    run = begun(
        task(
            Training(no_decay=["0.weight"]),
            data=nothing,
            net=lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3)),
            optimiser=optimisers("sgd", {"lr": 0.1, "weight_decay": 0.5}),
            loss=lambda outputs, _targets: 0 * outputs.sum(1),
        )
    )
    kept, decays = (run.model[i].weight.detach().clone() for i in (0, 1))
    run.trainer.step()
    assert torch.equal(run.model[0].weight, kept)
    assert torch.allclose(run.model[1].weight, 0.95 * decays)


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [("3.bais", "nearest: '3.bias'"), ("zz*", "'bias_and_norm' is all of one dimension; its first name is '0.weight'")],
)
def test_a_pattern_that_no_parameter_has_is_refused_with_the_nearest(pattern, hint):
    made = task(Training(no_decay=["*.bias", pattern]))
    with pytest.raises(ConfigError, match=rf"no_decay in the plan has '{pattern.replace('*', '.')}', and no") as caught:
        begun(made)
    assert caught.value.hint.startswith(hint)
    (told,) = check_task(made)
    assert hint in told


# --- accumulation


@pytest.mark.parametrize("count", [20, 21, 22, 23, 25])
@pytest.mark.parametrize("distilled", [False, True])
def test_batches_that_are_accumulated_step_as_one_that_is_as_large(count, distilled):
    """Batches of 4 by threes against batches of 12: the last of an epoch uneven, and a single sample left over."""
    more = {"data": rows(count)} | (
        {"distillation": term("cross_entropy", training.Distillation(weight=1.0))} if distilled else {}
    )
    many, one = (begun(task(Training(accumulate=n), batch_size=size, **more)) for n, size in ((3, 4), (1, 12)))
    for _ in range(5):
        assert many.trainer.step() == pytest.approx(one.trainer.step(), abs=1e-5)
    for name, value in many.snapshot().items():
        assert torch.allclose(value, one.snapshot()[name], atol=1e-5), name


def test_no_accumulated_batch_is_of_a_single_sample():
    seen = []

    class Norm(nn.Sequential):
        def forward(self, x):
            if self.training:
                seen.append(len(x))
            return super().forward(x)

    made = task(Training(accumulate=2), data=rows(21), net=lambda: Norm(nn.BatchNorm1d(4), nn.Linear(4, 3)))
    run = begun(made)
    for _ in range(3):
        run.trainer.step()
    assert seen == [4, 4, 4, 4, 5]  # the third step has one batch
    run.trainer.step()
    assert seen[5:] == [4, 4]


# --- going on


@pytest.mark.parametrize(
    "training",
    [
        EVERYTHING,
        Training(schedule=Schedule(name="one_cycle"), no_decay=["*.bias"]),
        Training(schedule=Schedule(name="step", warmup=4), accumulate=4),
        Training(schedule=Schedule(name="cosine", min_lr=0.001)),
    ],
)
@pytest.mark.parametrize("cut", [2, 4, 7])
def test_a_run_goes_on_bit_for_bit(training, cut):
    made = guarded(task(training), 0)
    whole = dict(trajectory.sample(begun(made), 10, 1, lambda _step, _loss: None))
    run = begun(made)
    for _ in range(cut):
        run.trainer.step()
        run.at += 1
    saved = run.state_dict()
    refuse_unsafe(saved["trainer"])
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    buffer.seek(0)
    rest = begun(made)
    rest.load_state_dict(torch.load(buffer, weights_only=True))
    found = dict(trajectory.sample(rest, 10, 1, lambda _step, _loss: None))
    assert list(found) == list(range(cut + 1, 11))
    assert all(torch.equal(found[step][n], whole[step][n]) for step in found for n in whole[step])


@pytest.mark.parametrize("training", [EVERYTHING, Training(schedule=Schedule(name="one_cycle")), Training(clip=1.0)])
def test_a_task_keeps_every_promise_with_it(training):
    assert check_task(task(training)) == []


@pytest.mark.parametrize("name", ["cosine", "one_cycle", "step"])
def test_each_turn_begins_its_own_schedule_with_the_optimiser_that_is_kept(name):
    made = task(Training(schedule=Schedule(name=name, warmup=1), no_decay=["*.bias"]))
    first, second = begun(made, 6), begun(made, 4)
    fresh = begun(made, 4)
    for _ in range(6):
        first.trainer.step()
    second.take_up(first.kept())
    told = [(second.trainer.step(), second.rate)[1] for _ in range(4)]
    assert told == [(fresh.trainer.step(), fresh.rate)[1] for _ in range(4)]
    assert not torch.equal(second.snapshot()["0.weight"], fresh.snapshot()["0.weight"])  # the momentum is the kept one
    assert [int(s["step"]) for s in second.kept()["state"].values()] == [10] * 6


def test_a_policy_climbs_by_a_schedule_and_refuses_what_is_about_samples():
    def made(training):
        return policy_gradient(lambda: nn.Linear(1, 3), sync_vector(Levers), [6], adam, batch_size=4, training=training)

    run = begun(made(Training(schedule=Schedule(name="cosine"), clip=0.5)), 2)
    told = []
    for _ in range(2):
        run.trainer.step()
        told.append(run.rate)
    assert told[1] == pytest.approx(told[0] / 2)
    with pytest.raises(ConfigError, match=r"\[training\] accumulate is about samples, and a policy has episodes"):
        made(Training(accumulate=2))


# --- the plan


def read(lines):
    return plan.parse(f"{HEAD}[training]\n{lines}\n".encode()).plan.training


def test_a_plan_says_it_in_a_few_lines():
    lines = 'schedule = { name = "cosine", warmup = 0.05 }\nclip = 1.0\nno_decay = ["bias_and_norm"]\naccumulate = 4'
    assert read(lines) == Training(
        schedule=Schedule(name="cosine", warmup=0.05), clip=1.0, no_decay=["bias_and_norm"], accumulate=4
    )
    plain = read("")
    assert (plain.schedule.changes, plain.clip, plain.no_decay, plain.accumulate) == (False, None, [], 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("schedule = { name = 'cosin' }", r"schedule.name: .*\(got 'cosin'\), nearest: 'cosine'"),
        ("schedule = { name = 'onecycle' }", "nearest: 'one_cycle'"),
        ("schedule = { name = 'constant', gamma = 0.5 }", "constant has no gamma: that is step's"),
        ("schedule = { warmup = 1.0 }", "schedule.warmup"),
        ("schedule = { warmup = -1 }", "schedule.warmup"),
        ("schedule = { warmup = 100 }", "warms up for 100 steps, and no turn has more than 100"),
        ("schedule = { name = 'cosine', min_lr = 0.01 }", r"ends at min_lr = 0.01, and lr is 0.01"),
        ("schedule = { name = 'step', step_size = 1.0 }", "schedule.step_size"),
        ("clip = 0.0", "training.clip: input should be greater than 0"),
        ("clip = inf", "training.clip"),
        ("accumulate = 0", "training.accumulate"),
        ("no_decay = 'bias'", "training.no_decay"),
        ("no_decay = ['']", "training.no_decay"),
        ("validations = 0", "training.validations"),
        ("patience = 2", r"patience goes by validation samples: it needs select_on = \"validation\""),
    ],
)
def test_what_cannot_be_is_refused_by_name(line, said):
    with pytest.raises(ConfigError, match=said):
        read(line)


def test_weights_without_decay_are_refused_where_nothing_decays():
    text = f"{HEAD.replace(', weight_decay = 0.1', '')}[training]\nno_decay = ['bias_and_norm']\n"
    with pytest.raises(ConfigError, match=r"no_decay takes weight_decay away, and \[optimiser\] has none"):
        plan.parse(text.encode())


def test_a_misspelt_optimiser_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"\(got 'adamx'\), nearest: 'adam' and 'adamw'"):
        plan.parse(HEAD.replace('"adamw"', '"adamx"').encode())
    assert nearest("qqq", ["adam"]) == ""


def test_a_step_told_is_the_mean_of_all_its_samples():
    seen = []

    def loss(outputs, targets):
        each = CROSS(outputs, targets)
        seen.append(each.detach())
        return each

    run = begun(task(Training(accumulate=3), loss=loss, data=rows(10)))
    told = run.trainer.step()
    assert [len(each) for each in seen] == [4, 4, 2]
    assert told == pytest.approx(float(np.mean(torch.cat(seen).numpy())), rel=1e-6)
