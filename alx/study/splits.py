"""Who holds which samples. Arrays in, index arrays out; every split is told by its seed.

A split is named in a word or two, as people type it: `gamma:0.3`, `complementary:0,1,2,3,4:0.05`, `dirichlet:0.5`,
`column:hospital:north,south`, `column:hospital:each`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alx.errors import UsageError, escape

Indices = NDArray[np.int64]
Labels = NDArray[np.int64]
FORMS = {
    "gamma": "gamma:SHARE",
    "complementary": "complementary:CLASS,CLASS:SHARE",
    "dirichlet": "dirichlet:ALPHA",
    "column": "column:NAME:VALUE,VALUE",
}
SPLITS = f"splits: {', '.join(FORMS.values())}, column:NAME:each"
EACH = "each"
LONGEST = 9  # digits of a class number


@dataclass(frozen=True, slots=True)
class Split:
    """How samples are dealt out.

    Attributes:
        text: as it was typed.
        column: the column that decides, or None where the labels do.
        each: every value of the column is the learner's in turn; see `alone`.
        deal: (labels or that column's values [n], rng) -> indices of the learner and of the provider; no sample is on both.
    """

    text: str
    column: str | None
    deal: Callable[[NDArray[Any], np.random.Generator], tuple[Indices, Indices]]
    each: bool = False


def gamma(labels: Labels, share: float, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """The paper's split (section 4.2): a provider with half of everything, a learner with little but one class.

    The provider has half of each class. Of what is left the learner has all of the smallest class, m samples, and
    `share` times m of every other. Of classes of one size the first is the smallest; an odd sample is not the provider's.

    Args:
        labels: class numbers [n].
        share: the paper's gamma_L, 0 to 1.
        rng: decides which.

    Returns:
        Indices of the learner and of the provider, each in ascending order.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    major = classes[np.argmin(sizes - sizes // 2)]
    most = int((sizes - sizes // 2).min())
    learner, provider = [], []
    for one, size in zip(classes, sizes, strict=True):
        order = rng.permutation(np.flatnonzero(labels == one))
        provider.append(order[: size // 2])
        learner.append(order[size // 2 :][: most if one == major else round(share * most)])
    return np.sort(np.concatenate(learner)), np.sort(np.concatenate(provider))


def complementary(
    labels: Labels, first: list[int], minor: float, rng: np.random.Generator, names: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Each side holds its own classes and a small share of the other's, so neither suffices alone.

    Args:
        labels: class numbers [n].
        first: classes of the first side; the second side has all others.
        minor: share of the other side's samples that each holds, 0 to 1; taken from that side, so no sample is on both.
        rng: decides which.
        names: of the classes, where they have names.

    Returns:
        Indices of the two sides; together every sample once.

    Raises:
        UsageError: no sample is of one of the classes.
    """
    absent = sorted(set(first) - set(labels.tolist()))
    if absent:
        there = _listed(np.unique(labels).tolist(), names)
        raise UsageError(f"no sample has the class {_listed(absent[:1], names)}", f"classes: {there}")
    at_first = np.isin(labels, first)
    moved = rng.random(len(labels)) < minor
    holds = at_first != moved
    return np.flatnonzero(holds), np.flatnonzero(~holds)


def dirichlet(labels: Labels, alpha: float, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Label skew as the federated literature makes it (Hsu, Qi and Brown, 2019), for two sides.

    Args:
        labels: class numbers [n].
        alpha: concentration, above 0: of each class the learner's share is drawn from Beta(alpha, alpha). A small one
            gives nearly all of a class to one side, a large one gives halves.
        rng: decides which.

    Returns:
        Indices of the two sides; together every sample once.
    """
    learner, provider = [], []
    for one in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == one))
        cut = round(rng.beta(alpha, alpha) * len(order))
        learner.append(order[:cut])
        provider.append(order[cut:])
    return np.sort(np.concatenate(learner)), np.sort(np.concatenate(provider))


def by_value(values: NDArray[Any], learners: list[str]) -> tuple[Indices, Indices]:
    """By a column, such as the hospital a row comes from.

    Args:
        values: of the column, one a sample [n].
        learners: the values whose samples are the learner's; all others are the provider's.

    Returns:
        Indices of the two sides; together every sample once.

    Raises:
        UsageError: no sample has one of the values.
    """
    text = np.array([str(v) for v in values.tolist()])
    for value in learners:
        if not (text == value).any():
            there = ", ".join(sorted(set(text.tolist())))
            raise UsageError(f"no sample has '{escape(value)}' in that column", f"there are: {escape(there, 200)}")
    held = np.isin(text, learners)
    return np.flatnonzero(held), np.flatnonzero(~held)


def _listed(classes: Sequence[int], names: Sequence[str]) -> str:
    """`0, 1`, or `0 benign, 1 malignant` where they have names."""
    told = [f"{c} {names[c]}" if 0 <= c < len(names) else str(c) for c in classes]
    return escape(", ".join(told), 200)


def parse(text: str, names: Sequence[str] = ()) -> Split:
    """The split that a word or two names; see the head of this module.

    Args:
        text: as it was typed.
        names: of the classes, in label order, where the plan has them.

    Raises:
        UsageError: it names none.
    """
    kind, _, rest = text.partition(":")
    if kind not in FORMS:
        raise UsageError(f"there is no split '{escape(text)}'", SPLITS)
    bad = UsageError(f"'{escape(text)}' is no whole split, expected {FORMS[kind]}", SPLITS)
    first, colon, last = rest.partition(":")
    if kind == "gamma":
        share = _share(rest, text, bad)
        return Split(text, None, lambda labels, rng: gamma(labels, share, rng))
    if kind == "dirichlet":
        alpha = _number(rest, bad)
        if not 0 < alpha < float("inf"):
            raise UsageError(f"'{escape(text)}' has an alpha of {escape(rest)}, expected above 0", SPLITS)
        return Split(text, None, lambda labels, rng: dirichlet(labels, alpha, rng))
    if not first:
        raise bad
    if kind == "complementary":
        minor = _share(last, text, bad) if colon else 0.0
        classes = [_class(name.strip(), names, bad) for name in first.split(",")]
        return Split(text, None, lambda labels, rng: complementary(labels, classes, minor, rng, names))
    if not last:
        raise bad
    if last == EACH:
        return Split(
            text, first, lambda values, _rng: by_value(values, sorted(set(map(str, values.tolist())))[:1]), each=True
        )
    return Split(text, first, lambda values, _rng: by_value(values, last.split(",")))


def alone(column: str, value: str) -> Split:
    """The learner has the samples with this value, whatever letters are in it; the provider all others."""
    return Split(f"column:{column}:{value}", column, lambda values, _rng: by_value(values, [value]))


def _class(text: str, names: Sequence[str], bad: UsageError) -> int:
    """A class by its name or its number."""
    if text in names:
        return names.index(text)
    if text.isdecimal() and len(text) <= LONGEST:
        return int(text)
    if not text:
        raise bad
    there = f"classes: {_listed(range(len(names)), names)}" if names else "the plan names no classes: give their numbers"
    raise UsageError(f"there is no class '{escape(text)}'", there)


def _share(text: str, split: str, bad: UsageError) -> float:
    share = _number(text, bad)
    if not 0 <= share <= 1:
        raise UsageError(f"'{escape(split)}' has a share of {escape(text)}, expected 0 to 1", SPLITS)
    return share


def _number(text: str, bad: UsageError) -> float:
    try:
        return float(text)
    except ValueError:
        raise bad from None
