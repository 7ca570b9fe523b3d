"""Several ranks train and measure what one does: to the last digit where it is sums, within rounding where it is steps."""

import copy
import dataclasses
import hashlib
import json
import time
from datetime import timedelta

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.objective import Objective
from alx.tasks import crew, distillation, gradients, ranks, supervised
from alx.tasks.objective import losses
from alx.training import Distillation, Training
from tests.several import led, together

COUNT = 53
ALL = {"accumulate": 3, "clip": 0.5, "no_decay": ["bias_and_norm"], "schedule": {"name": "cosine", "warmup": 0.1}}


def net(kind):
    """No bias before a batch norm: it has no gradient but rounding."""
    if kind == "plain":
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    return nn.Sequential(
        nn.Conv1d(1, 4, 3, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 8, bias=False), nn.BatchNorm1d(8, momentum=None), nn.Linear(8, 3),
    )  # fmt: skip


def made(kind, dtype, batch_size, training, *, lr=0.05, hold=0.0, weights=None):
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(COUNT, *([6] if kind == "plain" else [1, 6]), generator=drawn).to(dtype)
    y = torch.randint(0, 3, (COUNT,), generator=drawn)
    return supervised(
        lambda: net(kind).to(dtype),
        TensorDataset(x, y),
        losses("cross_entropy", Objective(class_weights=weights or {}), []),
        lambda parameters: torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=1e-3),
        batch_size=batch_size,
        training=training,
        distillation=distillation.term("cross_entropy", Distillation(weight=hold)),
    )


def trained(task, steps):
    trajectory.seed_all(0)
    run = trajectory.Run(task, state.fresh(task), 1, steps)
    told = []
    *_, (_, final) = trajectory.sample(run, steps, steps, lambda _step, loss: told.append(loss))
    return final, told


def apart(a, b):
    """How far two states are from each other, relative to their length: all tensors together."""
    flat = [torch.cat([t.double().reshape(-1) for t in each.values()]) for each in (a, b)]
    return float((flat[0] - flat[1]).norm() / flat[1].norm())


@pytest.mark.parametrize(
    ("world", "case"),
    [
        (2, ("plain", torch.float32, 25, Training(), {})),
        (2, ("normed", torch.float32, 25, Training(), {"lr": 0.01})),
        # in float64, where rounding hides nothing: batches of 2, so that one rank of three is idle in each
        (3, ("normed", torch.float64, 2, Training.model_validate(ALL), {"hold": 0.5, "steps": 10})),
        (3, ("plain", torch.float64, 7, Training.model_validate(ALL), {"weights": {"0": 1.0, "1": 3.0, "2": 0.5}})),
    ],
)
def test_weights_after_50_steps_are_those_of_one_process(world, case):
    *how, more = case
    steps = more.pop("steps", 50)
    one, losses_of_one = trained(made(*how, **more), steps)

    def rank(_group):
        final, told = trained(made(*how, **more), steps)
        digest = hashlib.sha256(json.dumps(state.digests(final), sort_keys=True).encode()).hexdigest()
        return [apart(final, one), digest, max(abs(a / b - 1) for a, b in zip(told, losses_of_one, strict=True))]

    found = together(world, rank)
    assert len({digest for _, digest, _ in found}) == 1  # to the bit the same on each
    assert max(far for far, _, _ in found) < (1e-6 if case[1] == torch.float32 else 1e-12)
    assert max(far for _, _, far in found) < 1e-5  # shown, summed in float32


def test_a_batch_is_split_by_index_and_no_sample_comes_twice():
    for world in (1, 2, 3, 8):
        for count in (1, 2, 7, 64, 65):
            parts = [ranks.part(slice(5, 5 + count), rank, world) for rank in range(world)]
            assert [i for p in parts if p.share for i in range(p.rows.start, p.rows.stop)] == list(range(5, 5 + count))
            assert sum(p.share for p in parts) == pytest.approx(1, abs=1e-15)
            assert all(p.rows.stop > p.rows.start for p in parts)  # not every layer takes a batch of none


def test_what_is_measured_is_split_by_blocks_and_no_sample_comes_twice():
    for world in (1, 2, 3, 8):
        for count in (1, 31, 703, 16384):
            parts = [crew.own_rows(count, rank, world) for rank in range(world)]
            assert [i for p in parts for i in range(p.start, p.stop)] == list(range(count))
    assert crew.own_rows(16384, 1, 2) == slice(8192, 16384)
    assert crew.own_rows(703, 0, 2) == slice(0, 384)  # 11 blocks of 64


def test_a_parameter_without_a_gradient_on_any_rank_keeps_none_and_decays_not():
    def rank(group):
        used, other, idle = (nn.Parameter(torch.full((2,), 3.0)) for _ in range(3))
        loss = (used * (group.rank + 1)).sum()
        (loss + other.sum() if group.rank else loss).backward()
        told = gradients.summed(group, [used, other, idle], loss.detach())
        return [used.grad.tolist(), other.grad.tolist(), idle.grad, float(told)]

    assert together(2, rank) == [[[3.0, 3.0], [1.0, 1.0], None, 18.0]] * 2


def test_gradients_of_several_types_and_of_many_bytes_are_summed_in_place(monkeypatch):
    monkeypatch.setattr(gradients, "BUCKET_BYTES", 64)

    def rank(group):
        shapes = [(3, 5), (20,), (2, 2)]
        values = [nn.Parameter(torch.zeros(s, dtype=d)) for s in shapes for d in (torch.float32, torch.float64)]
        for i, p in enumerate(values):
            p.grad = torch.full_like(p, i + 10.0 * group.rank)
        gradients.summed(group, values, torch.tensor(0.5))
        return [p.grad.unique().tolist() for p in values]

    assert together(3, rank) == [[[30.0 + 3 * i] for i in range(6)]] * 3


def test_batch_norm_refuses_what_torchs_own_refuses():
    def rank(group):
        model = nn.Sequential(nn.BatchNorm1d(3))
        group.train(model)
        try:
            model(torch.zeros(2, 3, 4, 5))
        except ValueError as error:
            return str(error)

    assert together(1, rank) == ["expected 2D or 3D input (got 4D input)"]


def test_in_evaluation_a_batch_norm_is_as_it_was():
    def rank(group):
        model, x = nn.BatchNorm1d(3).eval(), torch.arange(6.0).reshape(2, 3)
        before = model(x)
        group.train(model)
        return bool(torch.equal(model(x), before)) and group.rank  # the other asks nothing

    assert together(2, rank) == [0, 1]


def dropping():
    """A task with dropout and batch norm: global random states and buffers matter."""
    drawn = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(40, 6, generator=drawn), torch.randint(0, 3, (40,), generator=drawn))
    return supervised(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)),
        data,
        nn.CrossEntropyLoss(reduction="none"),
        lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        batch_size=7,
    )


def test_a_run_by_ranks_goes_on_to_the_bit_with_dropout_too():
    def do(task):
        start = state.fresh(task)
        whole = trajectory.Run(task, start, 1, 12)
        whole.trainer.step()
        for _ in range(5):
            whole.trainer.step()
        saved = whole.state_dict() | {"model": state.of(task, whole.model)}
        saved["trainer"] = copy.deepcopy(saved["trainer"])
        for _ in range(6):
            whole.trainer.step()
        again = trajectory.Run(task, start, 1, 12)
        again.load_state_dict(saved)
        for _ in range(6):
            again.trainer.step()
        return [state.digests(state.of(task, run.model)) for run in (whole, again)]

    whole, again = led(2, dropping(), do)
    assert whole == again


def test_losses_are_those_of_one_process_and_follow_a_model_that_changes():
    task = dropping()
    models = [task.new_model().eval() for _ in range(3)]
    states = [state.of(task, model) for model in models]

    def do(by_all):
        found = []
        for order in ((0, 1, 2), (2, 0)):  # other states in the models that the ranks have
            nets = [measure.loaded(by_all, models[i], states[j]) for i, j in enumerate(order)]
            with torch.no_grad():
                found += by_all.sample_losses.of(nets, torch.arange(40)).tolist()
            found.append([by_all.measure(nets[0]).total])
        return found

    assert led(3, task, do) == do(task)


class Alone:
    """A trainer that knows nothing of ranks."""

    def __init__(self, model):
        self.model = model

    def step(self):
        return 0.0

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_a_trainer_that_does_not_share_its_steps_is_refused_and_its_task_is_measured_by_all():
    task = dataclasses.replace(dropping(), trainer=lambda model, _seed: Alone(model))

    def do(by_all):
        model = by_all.new_model().eval()
        with torch.no_grad():
            total = by_all.measure(model).total
        try:
            by_all.trainer(model, 0)
        except ConfigError as error:
            return [total == task.measure(model).total, error.message]

    assert led(2, task, do) == [True, "the task's trainer cannot share its steps between 2 ranks"]


def test_the_others_wait_longer_than_their_patience_while_rank_0_says_that_it_is_there(monkeypatch):
    monkeypatch.setattr(ranks, "PATIENCE", timedelta(seconds=2))
    monkeypatch.setattr(ranks, "IDLE_SECONDS", 0.1)
    task = dropping()

    def do(by_all):
        model = by_all.new_model().eval()
        first = by_all.measure(model).total
        time.sleep(2.5)
        return first == by_all.measure(model).total

    assert led(2, task, do)
