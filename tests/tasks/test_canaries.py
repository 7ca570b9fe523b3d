"""Canaries are own samples that a coin decides about, and the audit by them is that of the paper."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from alx import plan
from alx.errors import ConfigError
from alx.tasks import one_run
from alx.tasks.data import canaries, kinds
from alx.tasks.data.samples import Tensors
from alx.tasks.supervised import supervised
from tests.tasks.test_data import PLAN, Source


def test_a_fair_coin_leaves_out_about_half_of_the_canaries_and_nobody_else_the_same_each_time():
    own = Tensors(torch.arange(1000.0).reshape(-1, 1), torch.arange(1000) % 3)
    found = canaries.drawn(own, 400, 5)
    numbers = [set(part.tensors[0].flatten().tolist()) for part in (found.trained, found.all)]
    out = {x for x, inside in zip(found.all.tensors[0].flatten().tolist(), found.inside.tolist(), strict=True) if not inside}
    assert len(found.all) == len(numbers[1]) == 400
    assert stats.binomtest(len(out), 400).pvalue > 0.001
    assert numbers[0] == set(range(1000)) - out
    assert torch.equal(found.all.targets, found.all.tensors[0].flatten().long() % 3)
    again, other = canaries.drawn(own, 400, 5), canaries.drawn(own, 400, 6)
    assert torch.equal(again.inside, found.inside)
    assert torch.equal(again.trained.tensors[0], found.trained.tensors[0])
    assert not torch.equal(other.all.tensors[0], found.all.tensors[0])
    for count, words in ((39, "expected 40 or more"), (501, "there are 1000 samples to train on")):
        with pytest.raises(ConfigError, match=words):
            canaries.drawn(own, count, 5)


def test_the_bound_is_that_of_the_paper_and_of_arithmetic():
    # Steinke and others, Appendix D: of 1,000 canaries 75 of 100 guesses right, delta 1e-4, 95 %: epsilon is at least 0.673
    assert one_run.least_epsilon(1000, 100, 75, 1e-4) == pytest.approx(0.673, abs=5e-4)
    # without delta: guesses are right with odds of e^epsilon to 1
    assert one_run.chance(100, 100, 75, math.log(3), 0.0) == pytest.approx(stats.binom.sf(74, 100, 0.75))
    share = 0.05 ** (1 / 20)
    assert one_run.least_epsilon(40, 20, 20, 0.0) == pytest.approx(math.log(share / (1 - share)), abs=1e-6)
    assert one_run.least_epsilon(40, 20, 10, 0.0) == 0.0
    assert one_run.least_epsilon(40, 20, 0, 0.0) == 0.0


def test_canaries_that_are_learnt_by_heart_show_it_and_those_that_are_not_show_nothing():
    rng = np.random.default_rng(3)
    inside, classes = rng.random(200) < 0.5, np.arange(200) % 4
    hard = rng.exponential(size=200) + classes  # what is hard is no matter of the coin, but of the class
    told = one_run.audit(np.where(inside, 1e-4, hard), classes, inside, 1e-5)
    assert (told.canaries, told.inside, told.guesses) == (200, int(inside.sum()), 100)
    assert told.right > 95
    assert told.epsilon > 2
    assert one_run.audit(hard, classes, inside, 1e-5).epsilon == 0.0


def test_canaries_that_nothing_would_look_at_are_refused(tmp_path):
    x, y = np.zeros((100, 2), np.float32), np.arange(100) % 2
    np.savez(tmp_path / "own.npz", train_images=x, train_labels=y)
    agreed = plan.parse(PLAN.encode()).plan
    with pytest.raises(ConfigError, match=r"canaries is 40 in site\.toml, and no samples are kept apart"):
        kinds.parts(Source("npz", "own.npz", canaries=40), tmp_path, agreed)
    own = Tensors(torch.from_numpy(x), torch.from_numpy(y))
    with pytest.raises(ConfigError, match="canaries without held_out"):
        supervised(
            lambda: nn.Linear(2, 2),
            own,
            nn.CrossEntropyLoss(reduction="none"),
            torch.optim.SGD,
            canaries=(own, torch.ones(100, dtype=torch.bool)),
        )
