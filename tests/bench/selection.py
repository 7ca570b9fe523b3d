"""Evaluations and time of a selection, beside a full scan of the same candidates at the same samples.

Whole exchanges are played; at every import both are done, and it is asserted that they choose the same. An evaluation is
the loss of one sample at one candidate. `floor` is what no method can do with less that relies on losses being at least 0
alone, even if it were told the winner and the best order: the winner at every sample, and of each other candidate as
many of its own largest losses as it takes to pass the winner's total.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np

from alx.learning import select
from tests.bench import played
from tests.bench.row import Missing, Row

TARGET, WORST = 0.25, 1.02  # of a full scan: the geometric mean, and any one import


@dataclass(slots=True)
class Watch:
    """Every selection of a run: shares of a full scan's evaluations, and seconds."""

    asked: list[int] = field(default_factory=list)
    scan: list[int] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    seconds: list[tuple[float, float]] = field(default_factory=list)

    def race(self, signed, count, losses, samples, **options):
        """In place of `select.race`: does it, and the scan too."""
        everyone = range(len(signed))
        assert len(signed) <= options["together"]  # so that the first of the two does not load what the second has
        matrix = np.asarray(losses(everyone, np.arange(count)))
        begun = time.perf_counter()
        scanned = select.race(signed, count, losses, samples, **options | {"known": {}, "full": True})
        between = time.perf_counter()
        raced = select.race(signed, count, losses, samples, **options)
        self.seconds.append((time.perf_counter() - between, between - begun))
        assert raced.index == scanned.index
        self.asked.append(raced.evaluations)
        self.scan.append(raced.scan)
        known = set(options["known"])
        self.floor.append(_floor(np.asarray(signed), matrix, scanned.index, known) / raced.scan)
        return raced

    @property
    def shares(self) -> list[float]:
        """Of a full scan's evaluations, import by import."""
        return [a / b for a, b in zip(self.asked, self.scan, strict=True)]


def _floor(signed, matrix, best, known):
    total = signed[best] + matrix[best].sum()
    needed = 0
    for c, row in enumerate(matrix):
        if c in known:
            continue
        if c == best:
            needed += len(row)
        elif signed[c] < total:
            needed += min(len(row), 1 + int(np.searchsorted(np.cumsum(np.sort(row)[::-1]), total - signed[c])))
    return max(needed, 1)


def _watched(play: Callable[[], None]) -> Watch:
    watch = Watch()
    inner = select.race

    def both(*arguments, **options):
        with mock.patch.object(select, "race", inner):
            return watch.race(*arguments, **options)

    with mock.patch.object(select, "race", both):
        play()
    return watch


def _mean(shares: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, shares)))


def _rows(what: str, watch: Watch) -> list[Row]:
    ours, scan = zip(*watch.seconds, strict=True)
    each = f"{what}, {len(watch.shares)} imports"
    mean = statistics.fmean
    return [
        Row(each, "evaluations", mean(watch.asked), "full scan", mean(watch.scan), _mean(watch.shares)),
        Row(each, "s", sum(ours), "full scan", sum(scan), sum(ours) / sum(scan)),
    ]


def rows() -> list[Row | Missing]:
    """The demo's digits with three seeds; complementary classes and the paper's Fig. 3 on a part of CIFAR-10."""
    runs: dict[str, Callable[[Path], None]] = {
        f"digits demo, seed {seed}": lambda folder, seed=seed: played.demo(folder, seed) for seed in range(3)
    }
    told: list[Row | Missing] = []
    if played.CIFAR.is_file():
        runs |= {
            "CIFAR-10, complementary classes, 5 % of the other's": played.complementary,
            "CIFAR-10, Fig. 3 in small, gamma 0.3": played.figure_3,
        }
    else:
        told.append(Missing("selection on CIFAR-10", played.NO_CIFAR))
    found: dict[str, Watch] = {}
    for name, play in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = _watched(lambda play=play, folder=folder: play(Path(folder)))
    lines = [row for name, watch in found.items() for row in _rows(name, watch)]
    shares = [s for watch in found.values() for s in watch.shares]
    floors = [f for watch in found.values() for f in watch.floor]
    worst = max(shares)
    return [
        *lines,
        Row("all of these, geometric mean", "share of evaluations", _mean(shares), "full scan", 1.0, _mean(shares), TARGET),
        Row("the most of any import", "share of evaluations", worst, "full scan", 1.0, worst, WORST),
        Row(
            "all of these, geometric mean",
            "share of evaluations",
            _mean(shares),
            "the least that losses of at least 0 allow",
            _mean(floors),
            _mean(shares) / _mean(floors),
        ),
        *told,
    ]
