"""What an exchange carries, in float32 and rounded to bfloat16, beside federated averaging; and what rounding costs.

Federated averaging carries two models in float32 a round, packed as a bundle packs one.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from alx import turns as verbs
from alx.site import site as sites
from alx.study import sizes
from alx.turns.bridge import from_flat
from tests.bench import played
from tests.bench.played import Turns
from tests.bench.row import Missing, Row

ROUNDED = 'rounding = "bfloat16"'
BESIDE = "float32"
LIMITS = {"": 3.0, ROUNDED: 1.2}  # times federated averaging's bytes
SEEDS = range(5)


def _numbers(turns: Turns) -> dict[str, float]:
    last = turns[-1][1].chosen.selected
    return {
        "bytes carried": float(sum(turn.sealed.size for pair in turns for turn in pair)),
        "training loss a sample": last.global_loss / last.samples,
        "share of the test missed": 1 - last.held_out,
    }


def _fedavg(folder: Path) -> float:
    """Bytes of a round of federated averaging with the model that was selected last."""
    model = verbs.latest(sites.load(folder / "learner").look())
    size, _ = sizes.packed(from_flat(model.state, model.layout))
    return 2.0 * size


def _beside(what: str, runs: list[Callable[[Path, str], Turns]]) -> list[Row]:
    found = []
    for more in (ROUNDED, ""):
        numbers = []
        for play in runs:
            with tempfile.TemporaryDirectory() as folder:
                made = play(Path(folder), more)
                numbers.append(_numbers(made) | {"of federated averaging": len(made) * _fedavg(Path(folder))})
        found.append({key: statistics.fmean(n[key] for n in numbers) for key in numbers[0]})
    ours, theirs = found
    rival = theirs.pop("of federated averaging")
    ours.pop("of federated averaging")
    unit = "bytes carried"
    return [
        *(
            Row(
                f"{what}{', rounded' * bool(more)}",
                unit,
                each[unit],
                "FedAvg, float32",
                rival,
                each[unit] / rival,
                LIMITS[more],
            )
            for more, each in ((ROUNDED, ours), ("", theirs))
        ),
        *(Row(what, unit, ours[unit], BESIDE, theirs[unit], ours[unit] / theirs[unit]) for unit in ours),
    ]


def rows() -> list[Row | Missing]:
    """The demo with five seeds, their mean; one exchange on CIFAR-10."""
    runs = [lambda folder, more, seed=seed: played.demo(folder, seed, more) for seed in SEEDS]
    out: list[Row | Missing] = [*_beside(f"digits demo, mean of {len(SEEDS)} seeds", runs)]
    if not played.CIFAR.is_file():
        return [*out, Missing("rounding on CIFAR-10", played.NO_CIFAR)]
    return [*out, *_beside("CIFAR-10, complementary classes, 5 % of the other's, one seed", [played.complementary])]
