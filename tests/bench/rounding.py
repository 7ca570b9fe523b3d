"""Bundles of snapshots rounded to bfloat16, beside the same exchange with float32: what is carried, and what it costs."""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import played
from tests.bench.played import Turns
from tests.bench.row import Missing, Row

ROUNDED = 'rounding = "bfloat16"'
BESIDE = "float32"
SEEDS = range(5)


def _numbers(turns: Turns) -> dict[str, float]:
    last = turns[-1][1].chosen.selected
    return {
        "bytes carried": float(sum(turn.sealed.size for pair in turns for turn in pair)),
        "training loss a sample": last.global_loss / last.samples,
        "share of the test missed": 1 - last.held_out,
    }


def _beside(what: str, runs: list[Callable[[Path, str], Turns]]) -> list[Row]:
    found = []
    for more in (ROUNDED, ""):
        numbers = []
        for play in runs:
            with tempfile.TemporaryDirectory() as folder:
                numbers.append(_numbers(play(Path(folder), more)))
        found.append({key: statistics.fmean(n[key] for n in numbers) for key in numbers[0]})
    ours, theirs = found
    return [Row(what, unit, ours[unit], BESIDE, theirs[unit], ours[unit] / theirs[unit]) for unit in ours]


def rows() -> list[Row | Missing]:
    """The demo with five seeds, their mean; one exchange on CIFAR-10."""
    runs = [lambda folder, more, seed=seed: played.demo(folder, seed, more) for seed in SEEDS]
    out: list[Row | Missing] = [*_beside(f"digits demo, mean of {len(SEEDS)} seeds", runs)]
    if not played.CIFAR.is_file():
        return [*out, Missing("rounding on CIFAR-10", played.NO_CIFAR)]
    return [*out, *_beside("CIFAR-10, complementary classes, 5 % of the other's, one seed", [played.complementary])]
