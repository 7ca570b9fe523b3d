"""Attacks find what a model remembers, find nothing where there is nothing, and their figures are those of arithmetic."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn

from alx.tasks import composition, interval, membership
from alx.tasks.membership import Losses

RNG = np.random.default_rng(11)


def drawn(shift, models=4, pairs=400, classes=3):
    """Losses of a made-up turn: own samples fall by `shift` more (in log-odds) from the first model to the last."""
    which = np.sort(RNG.integers(0, classes, pairs))
    fall = np.linspace(0, 1, models)[:, None]
    hard = RNG.normal(size=(2, pairs)) + which
    odds = [hard[side] + fall * (1 + shift * (1 - side)) + 0.3 * RNG.normal(size=(models, pairs)) for side in (0, 1)]
    own, apart = (np.log1p(np.exp(-each)) for each in odds)
    return Losses(own, apart, which)


def test_the_area_of_the_last_loss_is_scikit_learns_of_both_halves():
    losses = drawn(1.0)
    halves = [
        roc_auc_score(np.repeat([1, 0], 200), -np.concatenate([losses.own[-1, odd::2], losses.apart[-1, odd::2]]))
        for odd in (0, 1)
    ]
    found = {each.name: each for each in membership.measured(losses)}
    assert found["last loss"].auc.value == pytest.approx(np.mean(halves), abs=1e-12)
    quartiles = np.percentile(losses.own, 75, axis=0) - np.percentile(losses.own, 25, axis=0)
    others = stats.iqr(losses.apart, axis=0)
    assert found["range"].auc.value == pytest.approx(
        np.mean([roc_auc_score(np.repeat([1, 0], 200), np.r_[quartiles[o::2], others[o::2]]) for o in (0, 1)]), abs=1e-12
    )


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_range_finds_what_moved_more_than_others_and_what_moved_less(shift):
    (found,) = (each for each in membership.measured(drawn(shift, pairs=1000)) if each.name == "range")
    assert found.auc.low > 0.5


def test_a_likelihood_ratio_beats_the_loss_where_classes_differ_in_difficulty_and_learning_from_all_models_beats_both():
    found = {each.name: each.auc for each in membership.measured(drawn(1.0, pairs=4000))}
    # by arithmetic: within a class two normals of deviation sqrt(1.09), one apart; each model but the last adds noise
    assert found["ratio"].value == pytest.approx(stats.norm.cdf(1 / math.sqrt(2 * 1.09)), abs=0.02)
    assert found["last loss"].value < found["ratio"].value - 0.02
    # the first model tells how hard a sample is: what is left is the noise of both, 0.3 each
    assert found["trajectory"].value > 0.9
    assert all(each.low < each.value < each.high for each in found.values())


def test_where_samples_are_drawn_alike_no_attack_claims_to_find_any():
    for attack in membership.measured(drawn(0.0)):
        assert attack.auc.low < 0.5 < attack.auc.high, attack
        assert attack.found.low < 0.02, attack


def test_a_model_that_learnt_twenty_samples_by_heart_is_found_out_and_one_that_never_saw_them_is_not():
    torch.manual_seed(4)
    inputs, labels = torch.randn(60, 30), torch.arange(60) % 2
    here, there, never = inputs[:20], inputs[20:40], inputs[40:]
    which = np.arange(20) % 2

    def losses(states, samples):
        with torch.no_grad():
            return np.stack(
                [nn.functional.cross_entropy(net(samples), labels[:20], reduction="none").double().numpy() for net in states]
            )

    net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 2))
    states = [net]
    for _ in range(2):
        later = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 2))
        later.load_state_dict(states[-1].state_dict())
        steps = torch.optim.Adam(later.parameters(), lr=0.02)
        for _ in range(40):
            steps.zero_grad()
            nn.functional.cross_entropy(later(here), labels[:20]).backward()
            steps.step()
        states.append(later)
    order = np.argsort(which, kind="stable")
    learnt, apart, unseen = (losses(states, each)[:, order] for each in (here, there, never))
    strongest = membership.strongest(membership.measured(Losses(learnt, apart, which[order])))
    assert strongest.auc.low > 0.6
    for attack in membership.measured(Losses(unseen, apart, which[order])):
        assert attack.auc.low < 0.5 < attack.auc.high, attack


def test_an_attack_is_measured_on_what_it_did_not_learn_from():
    # as many models as samples to learn from, and nothing in them: in sample a regression tells all, out of it none
    models, pairs = 120, 100
    losses = Losses(RNG.exponential(size=(models, pairs)), RNG.exponential(size=(models, pairs)), np.zeros(pairs, np.int64))
    columns = np.concatenate([losses.own, losses.apart], axis=1).T
    truth = np.repeat([1, 0], pairs)
    learnt = LogisticRegression(max_iter=1000).fit(columns, truth)
    assert roc_auc_score(truth, learnt.decision_function(columns)) > 0.95
    (found,) = (each for each in membership.measured(losses) if each.name == "trajectory")
    assert found.auc.low < 0.5 < found.auc.high


def test_intervals_are_those_of_the_papers():
    # Hanley and McNeil (1982), their own example: 51 abnormal and 58 normal images, area 0.893, standard error 0.032
    assert interval.auc_deviation(0.893, [(51, 58)]) == pytest.approx(0.032, abs=5e-4)
    found = interval.auc_interval(0.893, [(51, 58)])
    for end in found[1:]:  # each end is as far away as the deviation there says
        assert abs(end - 0.893) == pytest.approx(1.959964 * interval.auc_deviation(end, [(51, 58)]), rel=1e-5)
    assert found.low < 0.893 < found.high
    all_told, none = interval.auc_interval(1.0, [(10, 10)]), interval.auc_interval(0.0, [(10, 10)])
    assert 0.6 < all_told.low < 0.9
    assert (all_told.high, none.low) == (1.0, 0.0)
    assert none.high == pytest.approx(1 - all_told.low, abs=1e-6)
    # of a guess the deviation is Mann and Whitney's, (n + m + 1) / (12 n m): that of a mean of classes is their variances'
    sizes = [(20, 20), *[(1, 50)] * 5]
    variance = sum((n / 25) ** 2 * (n + m + 1) / (12 * n * m) for n, m in sizes)
    assert interval.auc_deviation(0.5, sizes) == pytest.approx(math.sqrt(variance))
    # Clopper and Pearson (1934), by the beta distribution: 4 of 200, and none of 20: 1 - 0.025 ** (1 / 20)
    assert interval.rate(4, 200)[1:] == pytest.approx((stats.beta.ppf(0.025, 4, 197), stats.beta.ppf(0.975, 5, 196)))
    assert interval.rate(0, 20) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 20)))


def test_at_most_one_sample_in_a_hundred_passes_the_threshold_and_of_fewer_none():
    scores = RNG.normal(size=350)
    assert int((scores > membership.threshold(scores)).sum()) == 3
    assert int((scores[:99] > membership.threshold(scores[:99])).sum()) == 0


def test_pairs_are_of_one_class_and_every_second_one_is_a_half_of_each():
    own, apart = np.array([0] * 7 + [1] * 50 + [2] * 3), np.array([0] * 30 + [1] * 20 + [3] * 9)
    here, there = membership.pairs(own, apart, 5)
    assert (own[here] == apart[there]).all()
    assert np.bincount(own[here]).tolist() == [7, 20]
    assert len(set(here)) == len(set(there)) == 27
    assert np.bincount(own[here][::2]).tolist() == [4, 10]
    here, there = membership.pairs(own, apart, 5, most=16)
    assert (own[here] == apart[there]).all()
    assert np.bincount(own[here]).tolist() == [7, 9]  # the larger class alone is cut down
    assert [len(each) for each in membership.pairs(own, apart, 5, most=9)] == [8, 8]
    assert [len(each) for each in membership.pairs(np.arange(30), np.arange(30), 5, most=9)] == [30, 30]
    assert [len(each) for each in membership.pairs(own, np.array([9] * 5), 5)] == [0, 0]


def test_losses_that_are_infinite_or_not_a_number_are_the_largest():
    losses = drawn(2.0, pairs=100)
    losses.apart[-1, :50] = np.nan
    losses.apart[1, 50:] = np.inf
    losses.own[-1, :10] = 0
    for attack in membership.measured(losses):
        assert all(math.isfinite(x) for x in (*attack.auc, *attack.found, *attack.alarms))


def test_the_classes_that_a_site_holds_are_told_by_the_losses_that_fell():
    own = np.repeat([0, 1, 2, 3], [90, 70, 4, 2])
    apart = np.repeat([0, 1, 2, 3, 4], [10, 10, 10, 10, 2])
    first = np.full(42, 2.0)
    told = composition.told(own, apart, first, np.repeat([0.5, 1.0, 2.5, 2.6, 9.0], [10, 10, 10, 10, 2]))
    assert told is not None
    assert (told.classes, told.right.value, told.rank) == (4, 1.0, 1.0)
    assert told.right.low == pytest.approx(0.025 ** (1 / 4))
    wrong = composition.told(own, apart, first, np.repeat([2.6, 2.5, 1.0, 0.5, 9.0], [10, 10, 10, 10, 2]))
    assert wrong is not None
    assert (wrong.right.value, wrong.rank) == (0.0, -1.0)
    still = composition.told(own, apart, first, first)
    assert still is not None
    assert still.rank is None
    assert composition.told(own, apart[:10], first[:10], first[:10]) is None
    assert composition.told(np.repeat([0, 1, 2, 3], 9), apart, first, first - apart) is None  # as many of each
    # a class whose loss is not a number is left out, and where that is all of them there is nothing to tell
    some = composition.told(
        own, apart, first, np.where(apart == 3, np.nan, np.repeat([0.5, 1.0, 2.5, 0, 0], [10, 10, 10, 10, 2]))
    )
    assert some is not None
    assert (some.classes, some.right.value) == (3, 1.0)
    assert composition.told(own, apart, first, np.full(42, np.nan)) is None


def test_what_is_rare_is_told_by_itself_each_class_within_itself():
    held, apart = np.repeat([0, 1, 2], [90, 6, 4]), np.repeat([0, 1, 2], [5, 5, 5])
    easy = np.r_[np.full(90, 9.0), [0.1, 0.1, 0.1, 0.1, 0.1, 7.0], [0.1, 7.0, 7.0, 7.0]]
    hard = np.r_[np.full(5, 0.0), np.full(5, 1.0), np.full(5, 8.0)]
    found = membership.rare(held, {"last loss": (easy, hard)}, held, apart)
    assert found is not None
    assert (found.attack, found.samples, found.unmeasured_classes, found.unmeasured) == ("last loss", 10, 0, 0)
    assert found.auc is not None
    assert found.auc.value == pytest.approx((6 * 5 / 6 + 4 * 1.0) / 10)
    assert found.auc == interval.auc_interval(found.auc.value, [(6, 5), (4, 5)], membership.EACH)
    assert membership.rare(held[:90], {"last loss": (easy[:90], hard)}, held[:90], apart) is None
    # what a solved layer tells more of is told of that
    solved = membership.rare(held, {"last loss": (easy, hard), "solved": (np.zeros(100), hard + 1)}, held, apart)
    assert solved is not None
    assert solved.auc is not None
    assert (solved.attack, solved.auc.value) == ("solved", 1.0)


def test_a_rare_class_is_measured_at_a_large_site_and_it_is_said_where_nothing_of_it_is_kept_apart():
    held, apart = np.repeat([0, 1, 2], [100_000, 12, 9]), np.repeat([0, 1], [20_000, 12])
    here, there = membership.pairs(held, apart, 5)
    assert np.bincount(held[here]).tolist() == [membership.MOST_PAIRS - 12, 12]
    losses = {"last loss": (np.zeros(len(here)), np.ones(len(there)))}
    found = membership.rare(held, losses, held[here], apart[there])
    assert found is not None
    assert (found.samples, found.unmeasured_classes, found.unmeasured) == (12, 1, 9)
    none = membership.rare(held, losses, held[here], np.zeros(len(there), np.int64))
    assert none == ("last loss", 0, None, 2, 21)
