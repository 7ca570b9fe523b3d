"""The race finds what a full scan finds, to the bit, and asks for no loss twice."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alx.errors import NotFiniteError
from alx.learning import select


class Table:
    """Losses [candidates, samples] that note what was asked."""

    def __init__(self, losses):
        self.losses = np.asarray(losses, np.float64)
        self.asked = np.zeros(self.losses.shape, int)

    def __call__(self, candidates, samples):
        where = np.ix_(list(candidates), samples)
        self.asked[where] += 1
        return self.losses[where]


def exact(signed, losses):
    """The candidate with the least total, by fractions: no sum is rounded. Only where all losses are finite."""
    totals = [Fraction(s) + sum(map(Fraction, row)) for s, row in zip(signed, np.asarray(losses).tolist(), strict=True)]
    return totals.index(min(totals)), totals


def both(signed, losses, together=1, known=()):
    """Race and scan over the same losses; what holds for every pair of them is asserted here."""
    losses = np.asarray(losses, np.float64)
    candidates, samples = losses.shape
    table, sums = Table(losses), {c: math.fsum(losses[c]) for c in known}
    settled = []
    raced = select.race(signed, samples, table, 2 * samples, together=together, known=sums, tell=settled.append)
    scanned = select.race(signed, samples, Table(losses), 2 * samples, together=together, known=sums, full=True)
    assert (raced.index, raced.global_loss) == (scanned.index, scanned.global_loss)
    assert all(scanned.whole)
    assert scanned.evaluations == (candidates - len(sums)) * samples
    assert table.asked.max(initial=0) <= 1
    assert raced.evaluations == table.asked.sum() <= raced.scan == candidates * samples
    for c in range(candidates):
        assert raced.whole[c] == (c in known or bool(table.asked[c].all()))
        if raced.whole[c]:
            assert raced.own[c] == scanned.own[c]
        else:  # a lower bound, and it suffices
            assert raced.own[c] <= scanned.own[c]
            assert (raced.totals[c], c) > (raced.global_loss, raced.index)
    assert settled == sorted(settled)
    assert settled[-1] == candidates
    return raced, scanned


SHAPES = [(1, 1), (1, 40), (2, 1), (3, 15), (7, 16), (12, 17), (5, 100), (20, 700), (80, 300)]


@pytest.mark.parametrize("together", [1, 3, 100])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_race_finds_what_the_scan_finds_on_random_losses(shape, together):
    """Heavy and light tails, signed losses that help, mislead or say nothing."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        tail = rng.choice([0.3, 1, 3])
        losses = np.exp(tail * rng.standard_normal(shape)) * np.exp(0.5 * rng.standard_normal((shape[0], 1)))
        signed = (rng.choice([0, 1, 10]) * shape[1] * rng.random(shape[0])).tolist()
        raced, _ = both(signed, losses, together, known=[0] if seed % 3 == 0 else [])
        index, totals = exact(signed, losses)
        assert raced.index == index or float(totals[raced.index]) == float(totals[index])


numbers = st.one_of(
    st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 1 + 2**-52, 2.0**53, 1e300, math.inf, math.nan]), st.floats(0, 1e6, width=32)
)


@settings(max_examples=200)
@given(
    data=st.data(), candidates=st.integers(1, 6), samples=st.integers(1, 40), together=st.integers(1, 6), known=st.booleans()
)
def test_the_race_finds_what_the_scan_finds_on_adversarial_losses(data, candidates, samples, together, known):
    """Ties, values that rounding swallows, sums that overflow, losses that are not finite."""
    rows = st.lists(numbers, min_size=samples, max_size=samples)
    losses = data.draw(st.lists(rows, min_size=candidates, max_size=candidates))
    signed = data.draw(st.lists(st.floats(0, 1e6), min_size=candidates, max_size=candidates))
    finite = [c for c in range(candidates) if all(map(math.isfinite, losses[c]))]
    try:
        total = select.race(signed, samples, Table(losses), 2, together=together, full=True).global_loss
    except NotFiniteError:
        with pytest.raises(NotFiniteError, match="every candidate"):
            select.race(signed, samples, Table(losses), 2, together=together)
        return
    raced, _ = both(signed, losses, together, known=[0] if known and 0 in finite and sum(losses[0]) < 1e300 else [])
    assert raced.index in finite
    assert math.isfinite(total)


@pytest.mark.parametrize("together", [1, 4, 9])
def test_of_equals_the_earliest_is_chosen(together):
    """The same losses at every candidate, and in other orders of the samples: sums of float64 would differ."""
    row = np.random.default_rng(1).random(500)
    orders = np.stack([np.random.default_rng(i).permutation(row) for i in range(9)])
    assert len({float(np.cumsum(o)[-1]) for o in orders}) > 1
    for losses in (np.tile(row, (9, 1)), orders):
        assert both([7.0] * 9, losses, together)[0].index == 0
        assert both([7.5, *[7.0] * 8], losses, together)[0].index == 1


def test_a_difference_of_one_unit_in_the_last_place_decides():
    """The race drops nothing on a bound that rounding could have lifted."""
    losses = np.random.default_rng(2).random((6, 333))
    base = math.fsum(losses[0])
    signed = [1000 - math.fsum(row) + base for row in losses]
    for best in range(6):
        one = list(signed)
        one[best] = math.nextafter(one[best], 0)
        raced, scanned = both(one, losses)
        assert raced.global_loss == min(scanned.totals)


def test_a_candidate_whose_signed_loss_is_too_large_is_never_measured_beyond_the_first_share():
    table = Table(np.ones((10, 480)))
    raced = select.race([0.0, *[1e6] * 9], 480, table, 960, together=10)
    assert raced.index == 0
    assert (table.asked[1:].sum(1) == 480 / select.SHARE).all()


def test_hard_samples_are_looked_at_first_and_save_the_rest():
    """A tenth of the samples holds nearly all of the loss, as after some training: what loses there is dropped there."""
    rng = np.random.default_rng(3)
    hard = np.where(rng.random(2000) < 0.1, 5.0, 0.01)
    losses = hard * (1 + 0.5 * rng.random((30, 1))) * rng.uniform(0.8, 1.2, (30, 2000))
    raced, scanned = both([10.0] * 30, losses, together=30)
    assert raced.evaluations < 0.25 * scanned.evaluations


def test_nothing_is_saved_and_nothing_lost_where_all_candidates_are_alike():
    """The worst case: not one evaluation more than a full scan."""
    raced, scanned = both([1.0] * 8, np.full((8, 333), 0.25), together=3)
    assert raced.evaluations <= scanned.evaluations
    raced, scanned = both([1.0] * 8, np.full((8, 333), 0.25) - 1e-9 * np.arange(8)[:, None], together=3)
    assert raced.index == 7
    assert raced.evaluations == scanned.evaluations


def test_what_is_known_is_not_measured_again():
    losses = np.random.default_rng(4).random((5, 100))
    table = Table(losses)
    raced = select.race([0.0] * 5, 100, table, 200, together=5, known={0: 0.5})
    assert raced.index == 0
    assert table.asked[0].sum() == 0
    assert raced.own[0] == 0.5
    alone = select.race([3.0], 100, Table(losses[:1]), 200, together=1, known={0: 2.0})
    assert (alone.global_loss, alone.evaluations, alone.whole) == (5.0, 0, (True,))


def test_a_plain_scan_chooses_among_sums():
    chosen = select.select([1.0, 2.0, 0.0], [3.0, 1.0, math.nan], 20, 10)
    assert (chosen.index, chosen.global_loss, chosen.evaluations, chosen.scan) == (1, 3.0, 30, 30)
    assert chosen.totals == (4.0, 3.0, math.inf)
    assert select.select([1.0, 1.0], [-2.0, -2.0], 2, 1).index == 0
    with pytest.raises(NotFiniteError, match="every candidate"):
        select.select([1.0, 1.0], [math.nan, math.inf], 2, 1)


def test_groups_see_each_share_of_the_samples_together():
    """Samples are read once for as many candidates as are held."""
    asked = []
    losses = np.random.default_rng(5).random((12, 96))

    def of(candidates, samples):
        asked.append((tuple(candidates), len(samples)))
        return losses[np.ix_(list(candidates), samples)]

    select.race([0.0] * 12, 96, of, 192, together=5)
    assert [c for c, _ in asked[:3]] == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9), (10, 11)]
    for candidates, _ in asked:
        assert len(candidates) <= 5
        assert all(a < b for a, b in itertools.pairwise(candidates))  # as they lie in the bundle
