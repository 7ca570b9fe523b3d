"""Signed loss + own loss = global loss; the candidate with the least is where training goes on (paper, Algorithm 1).

Knows numbers; knows no model, no file, no peer.

`race` finds what a full scan finds, and looks at fewer losses. It starts each candidate at its signed loss and adds own
losses a chunk of samples at a time; where what was added so far is above the whole of another candidate, the rest is
left out. Why the winner is the full scan's, to the bit:

1. Own losses are at least 0, so the exact sum over some chunks is at most the exact sum over all of them.
2. A chunk's sum, the sum of the chunks' sums, and that plus the signed loss are each rounded once, to the nearest
   (`exact_sum`). Rounding never turns an order round, so 1 holds for the rounded sums too.
3. A candidate is dropped only where its rounded sum so far is above the total of a candidate that was measured whole, or
   equal to it and of a later step. By 2 its total is no less, so a full scan does not choose it either.
4. Which chunks there are depends on the pilot alone, and nothing is dropped before it is known: a race and a scan without
   dropping compute the same losses of the same chunks.

Last, the one that looks best by own losses alone is measured whole too, so that people see what the sender's claims changed.
By 3 it cannot win any more.

What is measured whole at first, the pilot, is the likely winner by a share of the samples drawn at random; the others see
its hardest samples first, as those hold most of a loss. Both decide how much is saved, never what is chosen.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alx.errors import NotFiniteError
from alx.learning.task import exact_sum

Samples = NDArray[np.int64]
Losses = Callable[[Sequence[int], Samples], NDArray[np.float64]]
"""(candidates, samples) -> own losses [candidates, samples], each at least 0, or not finite."""

SHARE = 48  # of the samples, one in so many: those at which all are measured first, and those between two looks
LEAST, MOST = 16, 1 << 14  # samples of a chunk: fewer cost about as much, and more take memory
CONTENDERS = 3  # measured one by one before the others: each may lower what the others are held against


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice and all it was made from.

    Attributes:
        index: the candidate with the least global loss; the earliest of equals.
        signed: the sender's loss sums.
        own: the receiver's loss sums; where one was dropped, that of the samples it was measured at, a lower bound.
        whole: whether the own loss is that of all samples.
        samples: samples on both sides.
        evaluations: losses of one sample at one candidate that were asked for.
        scan: those that a full scan asks for.
    """

    index: int
    signed: tuple[float, ...]
    own: tuple[float, ...]
    whole: tuple[bool, ...]
    samples: int
    evaluations: int
    scan: int

    @property
    def totals(self) -> tuple[float, ...]:
        """Global loss sums; infinite where the own loss is not finite, a lower bound where it is not `whole`."""
        return tuple(_total(a, b) for a, b in zip(self.signed, self.own, strict=True))

    @property
    def global_loss(self) -> float:
        """The least global loss sum."""
        return self.totals[self.index]

    @property
    def least_own(self) -> int:
        """The candidate with the least own loss of those that were measured whole; the chosen one where it is as low."""
        found = (i for i, whole in enumerate(self.whole) if whole and math.isfinite(self.own[i]))
        return min(found, key=lambda i: (self.own[i], i != self.index))


def _total(signed: float, own: float) -> float:
    return signed + own if math.isfinite(signed + own) else math.inf


def _sum(losses: Sequence[float]) -> float:
    """The sum, rounded once; infinite where it is not finite."""
    found = exact_sum(losses)
    return found if math.isfinite(found) else math.inf


def select(signed: Sequence[float], own: Sequence[float], samples: int, count: int) -> Selection:
    """Choose among all candidates by a full scan; ties go to the earliest.

    Args:
        signed: the sender's loss sum at each candidate, finite.
        own: the receiver's at each.
        samples: samples on both sides.
        count: samples of one's own.

    Raises:
        NotFiniteError: the own loss is finite at no candidate.
    """
    evaluations = len(own) * count
    return _chosen(signed, own, [True] * len(own), samples, evaluations, evaluations)


def _chosen(
    signed: Sequence[float], own: Sequence[float], whole: Sequence[bool], samples: int, evaluations: int, scan: int
) -> Selection:
    totals = [_total(a, b) if w else math.inf for a, b, w in zip(signed, own, whole, strict=True)]
    index = min(range(len(totals)), key=totals.__getitem__)
    if not math.isfinite(totals[index]):
        raise NotFiniteError("the own loss is NaN or infinite at every candidate", "look at the model and at the data")
    return Selection(index, tuple(signed), tuple(own), tuple(whole), samples, evaluations, scan)


@dataclass(slots=True)
class _Race:
    signed: Sequence[float]
    losses: Losses
    sums: list[list[float]]
    """The sum of each chunk, by candidate."""
    asked: int = 0

    def add(self, candidates: Sequence[int], samples: Samples) -> NDArray[np.float64]:
        """Measure some candidates at some samples; the losses themselves, [candidates, samples]."""
        found = self.losses(candidates, samples)
        self.asked += len(candidates) * len(samples)
        for c, row in zip(candidates, found, strict=True):
            self.sums[c].append(_sum(row.tolist()))
        return found

    def total(self, candidate: int) -> float:
        """The global loss, as far as it was measured."""
        return _total(self.signed[candidate], _sum(self.sums[candidate]))


def race(
    signed: Sequence[float],
    count: int,
    losses: Losses,
    samples: int,
    *,
    together: int,
    known: Mapping[int, float] | None = None,
    full: bool = False,
    tell: Callable[[int], None] = lambda _settled: None,
) -> Selection:
    """Choose what a full scan chooses, without measuring every candidate at every sample; see above.

    Args:
        signed: the sender's loss sum at each candidate, finite.
        count: samples of one's own.
        losses: one's own losses; asked at most once for a sample at a candidate.
        samples: samples on both sides.
        together: candidates to ask for at once: they see each chunk of samples together.
        known: own loss sums that were measured before, by candidate: at these nothing is asked.
        full: drop none: the scan that the race is held against.
        tell: called with the number of candidates that are settled, measured whole or dropped.

    Raises:
        NotFiniteError: the own loss is finite at no candidate.
    """
    everyone, known = range(len(signed)), known or {}
    run = _Race(signed, losses, [[known[c]] if c in known else [] for c in everyone])
    whole = [c in known for c in everyone]
    unknown = [c for c in everyone if c not in known]
    best = min(((run.total(c), c) for c in known), default=(math.inf, len(signed)))
    tell(len(known))
    if unknown:
        mixed = np.random.default_rng(0).permutation(count)
        share = -(-count // SHARE)
        first, rest = np.sort(mixed[:share]), np.sort(mixed[share:])
        for group in _groups(unknown, together):
            for part in _cut(first, MOST):
                run.add(group, part)
        likely = {c: _total(signed[c], _sum(run.sums[c]) * (count / share)) for c in unknown}
        pilot, *others = sorted(unknown, key=likely.__getitem__)
        hard = [run.add([pilot], part)[0] for part in _cut(rest, MOST)]
        order = rest[np.argsort(-np.concatenate([*hard, []]), kind="stable")]
        whole[pilot], best = True, min(best, (run.total(pilot), pilot))
        settled = len(known) + 1
        tell(settled)
        for group in [*([c] for c in others[:CONTENDERS]), *_groups(sorted(others[CONTENDERS:]), together)]:
            left = list(group)
            for part in _cut(order, min(MOST, max(LEAST, share))):
                left = [c for c in left if full or (run.total(c), c) < best]
                if not left:
                    break
                run.add(left, part)
            for c in left:
                whole[c], best = True, min(best, (run.total(c), c))
            settled += len(group)
            tell(settled)
        firsts = -(-share // MOST)
        rival = min(unknown, key=lambda c: _sum(run.sums[c][:firsts]))
        if not whole[rival]:
            for part in list(_cut(order, min(MOST, max(LEAST, share))))[len(run.sums[rival]) - firsts :]:
                run.add([rival], part)
            whole[rival] = True
    own = [_sum(sums) for sums in run.sums]
    return _chosen(signed, own, whole, samples, run.asked, len(signed) * count)


def _groups(candidates: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (candidates[i : i + size] for i in range(0, len(candidates), size))


def _cut(samples: Samples, size: int) -> Iterator[Samples]:
    return (samples[i : i + size] for i in range(0, len(samples), size))
