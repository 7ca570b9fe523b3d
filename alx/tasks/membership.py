"""Was this sample trained on? Attacks by the losses of single samples at the models of a bundle, and how good they are.

Knows losses and classes; knows no model, no bundle and no file. Each own sample is set beside one kept apart of the same
class, so that what is rare, or hard, is not taken for what was trained on. What an attack has to learn it learns on one half
of these pairs, and it is measured on the other; then the halves change places.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alx.tasks.interval import CONFIDENCE, Interval, auc_interval, rate

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

LEAST_PAIRS = 20  # of fewer, an AUC of 0.5 is known to no better than 0.25 either way
MOST_PAIRS = 5000  # an AUC is then known to 0.01, and each is one more sample to measure at each model
ALARMS = 0.01  # false ones, at which Carlini and others (2022) measure
RARE = 0.5  # of the mean number of samples of a class: where a site holds fewer, each stands out more
FIGURES = 3  # of an attack that have an interval; all intervals together hold with CONFIDENCE
LIKE_ALL = 8  # samples as which the mean of all classes counts in that of one: of a rare class few are known
LOSSES = (1e-9, 1e3)  # beyond them float32 has no more to tell
_FLOOR = 1e-6  # of a standard deviation


@dataclass(frozen=True, slots=True)
class Attack:
    """How good one attack was.

    Attributes:
        name: see `ATTACKS`.
        auc: area under the ROC curve, 0.5 for a guess.
        found: share of own samples told as trained on, at a threshold that as few others pass as `ALARMS` says.
        alarms: share of samples kept apart that passed it too: the threshold was set on the other half.
    """

    name: str
    auc: Interval
    found: Interval
    alarms: Interval


@dataclass(frozen=True, slots=True)
class Losses:
    """What an attack works on: losses [models, pairs], and the class of each pair [pairs].

    Attributes:
        own: of samples that were trained on, at each model of a bundle in its order.
        apart: of samples that were not.
        classes: of both samples of a pair.
    """

    own: Array
    apart: Array
    classes: Rows

    def half(self, odd: int) -> "Losses":
        """Every second pair."""
        return Losses(self.own[:, odd::2], self.apart[:, odd::2], self.classes[odd::2])


def pairs(own: Rows, apart: Rows, seed: int, most: int = MOST_PAIRS) -> tuple[Rows, Rows]:
    """Set own samples beside as many that were kept apart, class by class.

    Args:
        own: classes of own samples, [n].
        apart: of those kept apart, [m].
        seed: of the draw.
        most: pairs; where there are more, the largest classes are cut down to the same number, and what is rarer stays
            whole. One of each class is taken, however many classes there are.

    Returns:
        Rows of own samples, and of those kept apart, [pairs] each; two that stand at the same place are a pair. Pairs of a
        class stand beside each other, so that every second one is a half of each class.
    """
    rng = np.random.default_rng(seed)
    counts = {int(c): min(int((own == c).sum()), int((apart == c).sum())) for c in np.unique(own)}
    limit = _limit(sorted(counts.values()), most)
    found = [
        [rng.permutation(np.flatnonzero(side == c))[: min(n, limit)] for c, n in counts.items()] for side in (own, apart)
    ]
    here, there = (np.concatenate([*each, np.empty(0, np.int64)]).astype(np.int64) for each in found)
    return here, there


def _limit(counts: Sequence[int], most: int) -> int:
    """What the largest of these counts, in rising order, are cut down to for all to be `most` together; at least 1."""
    left = most
    for i, n in enumerate(counts):
        share = left // (len(counts) - i)
        if n > share:
            return max(1, share)
        left -= n
    return most


def measured(losses: Losses, solved: Losses | None = None) -> list[Attack]:
    """Run every attack, calibrated on one half of the pairs and measured on the other, both ways.

    Args:
        losses: at the snapshots.
        solved: at the model whose last layer was solved for, [1, pairs]; None where there is none.

    Returns:
        In the order of `ATTACKS`; behind them `SOLVED`, where there is one. All intervals together hold with `CONFIDENCE`
        (Bonferroni).
    """
    found = [_measured(name, attack, losses) for name, attack in ATTACKS.items()]
    return found if solved is None else [*found, _measured(SOLVED, ATTACKS[LAST], solved)]


Score = Callable[[Losses], tuple[Array, Array]]
"""(losses) -> for own samples, and for those kept apart: the higher, the more it looks as if it had been trained on."""


def _measured(name: str, attack: Callable[[Losses], Score], losses: Losses) -> Attack:
    losses = Losses(_clean(losses.own), _clean(losses.apart), losses.classes)
    aucs, found, alarms, count = [], 0, 0, len(losses.classes)
    for odd in (0, 1):
        known, asked = losses.half(odd), losses.half(1 - odd)
        score = attack(known)
        own, apart = score(asked)
        aucs.append(_area(own, apart))
        limit = threshold(score(known)[1])
        found, alarms = found + int((own > limit).sum()), alarms + int((apart > limit).sum())
    mean = float(np.average(aucs, weights=[count // 2, count - count // 2]))  # the first was measured on the odd half
    return Attack(name, auc_interval(mean, [(count, count)], EACH), rate(found, count, EACH), rate(alarms, count, EACH))


def _area(own: Array, apart: Array) -> float:
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - a second, for this alone

    return float(roc_auc_score(np.repeat([1, 0], [len(own), len(apart)]), np.concatenate([own, apart])))


def threshold(apart: Array) -> float:
    """The score that at most `ALARMS` of samples kept apart pass; of fewer than a hundred none does."""
    return float(np.sort(apart)[::-1][int(ALARMS * len(apart))])


def _clean(losses: Array) -> Array:
    """What is not a number is the largest loss: a model that gives none has not learnt the sample."""
    return np.clip(np.nan_to_num(losses, nan=LOSSES[1], posinf=LOSSES[1]), *LOSSES)


def log_odds(losses: Array) -> Array:
    """-log(e^loss - 1): of a cross entropy the log-odds of the right class, which are nearly normal (Carlini and others).

    Of any other loss that is not below 0: minus its logarithm where it is small, minus itself where it is large.
    """
    losses = _clean(losses)
    return -(losses + np.log(-np.expm1(-losses)))


class _Normal:
    """Normal distributions of values [pairs], one mean for each class, one deviation for all."""

    def __init__(self, values: Array, classes: Rows) -> None:
        whole = float(values.mean())
        self._whole, self._means = whole, {}
        for c in np.unique(classes):
            here = values[classes == c]
            self._means[int(c)] = float((here.sum() + LIKE_ALL * whole) / (len(here) + LIKE_ALL))
        self._deviation = max(_FLOOR, float((values - self._mean(classes)).std()))

    def _mean(self, classes: Rows) -> Array:
        return np.array([self._means.get(int(c), self._whole) for c in classes])

    def z(self, values: Array, classes: Rows) -> Array:
        """How many deviations above the mean."""
        return np.asarray((values - self._mean(classes)) / self._deviation)

    def log(self, values: Array, classes: Rows) -> Array:
        """The logarithm of the density, but for a constant."""
        return np.asarray(-0.5 * self.z(values, classes) ** 2 - np.log(self._deviation))


def _last(_known: Losses) -> Score:
    return lambda asked: (-asked.own[-1], -asked.apart[-1])


def _ratio(known: Losses) -> Score:
    """How much likelier the loss at the last model is among own samples of the class than among others."""
    inside = _Normal(log_odds(known.own[-1]), known.classes)
    outside = _Normal(log_odds(known.apart[-1]), known.classes)

    def of(losses: Array, classes: Rows) -> Array:
        values = log_odds(losses[-1])
        return inside.log(values, classes) - outside.log(values, classes)

    return lambda asked: (of(asked.own, asked.classes), of(asked.apart, asked.classes))


def _standard(known: Losses) -> Callable[[Array, Rows], Array]:
    """Log-odds in deviations from those of samples of the class that were kept apart, [models, pairs]."""
    outside = [_Normal(log_odds(losses), known.classes) for losses in known.apart]
    return lambda losses, classes: np.stack(
        [each.z(log_odds(of), classes) for each, of in zip(outside, losses, strict=True)]
    )


def _tails(known: Losses) -> Score:
    """How far in the tail of samples that were not trained on, on average over the models after the first."""
    from scipy.special import ndtr  # noqa: PLC0415 - as above

    standard = _standard(known)

    def of(losses: Array, classes: Rows) -> Array:
        return np.asarray(ndtr(standard(losses, classes)[1:]).mean(0))

    return lambda asked: (of(asked.own, asked.classes), of(asked.apart, asked.classes))


def _trajectory(known: Losses) -> Score:
    """A logistic regression on the losses at all models."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - as above

    standard = _standard(known)
    columns = np.concatenate([standard(known.own, known.classes), standard(known.apart, known.classes)], axis=1)
    truth = np.repeat([1, 0], len(known.classes))
    learnt: Any = LogisticRegression(max_iter=1000).fit(columns.T, truth)

    def of(losses: Array, classes: Rows) -> Array:
        return np.asarray(learnt.decision_function(standard(losses, classes).T))

    return lambda asked: (of(asked.own, asked.classes), of(asked.apart, asked.classes))


def _range(known: Losses) -> Score:
    """How far the loss moved: farther in a first round, less in a later one, so which of the two is learnt."""

    def of(losses: Array) -> Array:
        upper, lower = np.quantile(losses, (0.75, 0.25), axis=0)
        return np.asarray(upper - lower)

    sign = 1 if _area(of(known.own), of(known.apart)) >= 0.5 else -1  # noqa: PLR2004 - a guess
    return lambda asked: (sign * of(asked.own), sign * of(asked.apart))


LAST, SOLVED = "last loss", "solved"

ATTACKS: Mapping[str, Callable[[Losses], Score]] = {
    LAST: _last,
    "ratio": _ratio,
    "range": _range,
    "tails": _tails,
    "trajectory": _trajectory,
}
"""last loss: a low loss at the last model (Yeom and others, 2018). ratio: a likelihood ratio by class there (Carlini and
others, 2022, without their shadow models). range: how far the loss moved, by its quartiles over all models (LT-IQR, arXiv
2411.05743, which looks so for samples at risk); whether more or less than that of others is learnt. tails: after FedMIA
(arXiv 2402.06289): there the distribution of those not trained on comes from other clients' models, here from other samples.
trajectory: learnt from all models (Liu and others, 2022, without their shadow models)."""

_EITHER_WAY = 3  # ratio, range, trajectory: each half may point either way, so an area is one of two, and counts twice
INTERVALS = FIGURES * (len(ATTACKS) + 1) + _EITHER_WAY + 2  # one more attack is `SOLVED`'s; `rare` has the last two
EACH = 1 - (1 - CONFIDENCE) / INTERVALS  # Bonferroni: so sure is each interval


class Rare(NamedTuple):
    """How well a loss tells who was trained on among the classes of which a site holds few.

    Attributes:
        attack: at which model: `LAST` or `SOLVED`, whichever has the larger area.
        samples: own ones of these classes that were measured.
        auc: within a class, on average over them; None where none was measured.
        unmeasured_classes: of these classes, those of which nothing is kept apart to measure by.
        unmeasured: own samples of those.
    """

    attack: str
    samples: int
    auc: Interval | None
    unmeasured_classes: int
    unmeasured: int


def rare(held: Rows, losses: Mapping[str, tuple[Array, Array]], own: Rows, apart: Rows) -> Rare | None:
    """Each class by itself: what is rare is learnt otherwise than what is frequent, and is what must not be told.

    Args:
        held: classes of all own samples, [n].
        losses: at the models `LAST` and, where there is one, `SOLVED`: of some own samples [m], and of some kept apart [k].
        own: classes of these own samples, [m].
        apart: of those kept apart, [k].

    Returns:
        None where a site holds no class of which it has less than half of the mean number.
    """
    counts = {int(c): int((held == c).sum()) for c in np.unique(held)}
    few = [c for c, n in counts.items() if n < RARE * len(held) / len(counts)]
    if not few:
        return None
    sizes = {c: (int((own == c).sum()), int((apart == c).sum())) for c in few}
    told = {c: both for c, both in sizes.items() if all(both)}
    lost = [counts[c] for c in few if c not in told]
    if not told:
        return Rare(LAST, 0, None, len(lost), sum(lost))
    samples = sum(n for n, _ in told.values())

    def mean(attack: str) -> float:
        inside, outside = (-_clean(each) for each in losses[attack])
        return sum(n * _area(inside[own == c], outside[apart == c]) for c, (n, _) in told.items()) / samples

    areas = {attack: mean(attack) for attack in losses}
    best = max(areas, key=lambda attack: areas[attack])
    return Rare(best, samples, auc_interval(areas[best], [*told.values()], EACH), len(lost), sum(lost))


def strongest(attacks: Sequence[Attack]) -> Attack:
    """The one with the largest area."""
    return max(attacks, key=lambda each: each.auc.value)
