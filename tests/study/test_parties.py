"""Personal parts on one machine: each side has its own, in assistance and in its rivals, and both are judged."""

import numpy as np
import pytest
import torch

from alx import plan as plans
from alx.learning import measure, state, trajectory
from alx.site.site_file import Metrics
from alx.study import algorithms, baselines, judge, parties, splits
from alx.study.parties import POOLED
from alx.study.pool import Pool
from alx.turns import turn_seed

PLAN = """\
name = "tiny"
rounds = 2
round_steps = 8
batch_size = 8
seed = 7
optimiser = { name = "adam", lr = 0.01 }

[model]
source = "net.py:net"
personal = ["1.*"]
"""
NET = b"""\
from torch import nn


def net():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
"""


@pytest.fixture
def both(tmp_path):
    """Forty samples and sixty, and twenty kept apart."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=120)
    x = (y[:, None] + rng.normal(size=(120, 4))).astype(np.float32)
    x[:50] *= 3
    whole = Pool(x[:100], y[:100], (x[100:], y[100:]), {}, "", {})
    file = plans.parse(PLAN.encode())
    return parties.deal(whole, splits.parse("dirichlet:5"), file, NET, tmp_path / "seed-7", 7, rng, Metrics())


def test_of_federated_averaging_the_shared_parts_are_a_mean_and_the_others_each_sides_own(both):
    tasks, n, steps = both.tasks, both.samples, both.steps
    play = baselines.fedavg(tasks, both.plan.plan, steps, n)
    trajectory.seed_all(7)
    start = state.fresh(tasks["learner"])
    ends = {}
    for role in ("learner", "provider"):
        run = trajectory.Run(tasks[role], start, turn_seed(7, 1, role))
        *_, (_, ends[role]) = trajectory.sample(run, steps[role], steps[role], lambda *_: None)
    played = play(1, None)
    for found, role in ((played.state, "learner"), (played.provider, "provider")):
        for name in ("1.weight", "1.running_mean", "1.num_batches_tracked"):
            assert torch.equal(found[name], ends[role][name])
        mean = sum(n[each] * ends[each]["0.weight"].double() for each in ends) / sum(n.values())
        assert torch.allclose(found["0.weight"].double(), mean, atol=1e-6)
    again = play(2, played.saved)
    assert not torch.equal(again.state["1.weight"], again.provider["1.weight"])
    assert torch.equal(again.state["0.weight"], again.provider["0.weight"])


def test_of_cyclic_transfer_each_side_goes_on_with_its_own_parts(both):
    tasks, steps = both.tasks, both.steps
    played = baselines.cyclic(tasks, both.plan.plan, steps)(1, None)
    run = trajectory.Run(tasks["provider"], played.provider, 0)
    trajectory.seed_all(7)
    fresh = state.fresh(tasks["provider"])
    own = trajectory.Run(tasks["learner"], fresh, turn_seed(7, 1, "learner"))
    *_, (_, sent) = trajectory.sample(own, steps["learner"], steps["learner"], lambda *_: None)
    begun = {**sent, **state.personal(tasks["provider"], fresh)}
    run = trajectory.Run(tasks["provider"], begun, turn_seed(7, 1, "provider"))
    *_, (_, last) = trajectory.sample(run, steps["provider"], steps["provider"], lambda *_: None)
    assert all(torch.equal(played.provider[name], last[name]) for name in last)
    assert torch.equal(played.state["1.weight"], sent["1.weight"])


def test_assistance_is_judged_by_the_loss_that_was_selected_and_by_the_mean_score_of_both_sides(both):
    play, _ = algorithms.player(both, "assisted")
    played = [play(number, None) for number in (1, 2)]
    task = both.tasks[POOLED]
    for each in played:
        assert not torch.equal(each.state["1.weight"], each.provider["1.weight"])
        assert torch.equal(each.state["0.weight"], each.provider["0.weight"])
    loss, worth = judge.judged(both, task.new_model(), played[-1])
    learner = algorithms.exchange.resume(both.folder / "exchange" / "assisted", lambda _line: None).sites["learner"].look()
    assert loss.total == pytest.approx(learner.position.closed.global_loss, rel=1e-6)
    assert loss.count == 100
    scores = []
    for each in (played[-1].state, played[-1].provider):
        model = measure.loaded(task, task.new_model(), each)
        scores.append(measure.held_out(task, model).score)
    assert worth.score == pytest.approx(sum(scores) / 2)
