"""Whole exchanges on real data, for a benchmark to look at: the demo's digits, and parts of CIFAR-10."""

import os
from pathlib import Path

import numpy as np

from alx.site.site_file import Data, SiteFile
from alx.study import exchange, splits
from alx.study.demo import digits
from alx.study.exchange import Exchange, Turn
from alx.study.pool import Pool
from tests.bench import results

CIFAR = Path(os.environ.get("DATA", "data")) / "cifar10.npz"
NO_CIFAR = f"there is no '{CIFAR}': make bench DATA=folder names the folder that holds it"
PLANS = results.ROOT / "examples" / "paper"
SAMPLES, TEST = 5000, 2000

Turns = list[tuple[Turn, Turn]]


def _play(both: Exchange, rounds: int) -> Turns:
    return [both.play(number) for number in range(1, rounds + 1)]


def _with(plan: str, more: str) -> str:
    """The plan with another line at the top, where the fields of no table stand."""
    return f"{more}\n{plan}"


def demo(folder: Path, seed: int, more: str = "") -> Turns:
    """`alx demo` without its baselines.

    Args:
        folder: an empty one.
        seed: of everything.
        more: a line for the plan.
    """
    case = digits.case(folder, digits.ROUNDS, seed)
    both = exchange.begin(folder, _with(case.plan, more), case.configs, seed, lambda _line: None)
    return _play(both, digits.ROUNDS)


def complementary(folder: Path, more: str = "") -> Turns:
    """Each side has five classes of CIFAR-10 and 5 % of the other's; as in examples/paper/stall, seed 0."""

    def split(labels, rng):
        return splits.complementary(labels, [0, 1, 2, 3, 4], 0.05, rng)

    return _cifar(folder, PLANS / "stall" / "cifar10.toml", split, 8, more)


def figure_3(folder: Path, more: str = "") -> Turns:
    """The paper's Fig. 3 in small, gamma_L = 0.3, seed 0."""
    return _cifar(
        folder, PLANS / "deep" / "small" / "fig3.toml", lambda labels, rng: splits.gamma(labels, 0.3, rng), 10, more
    )


def _cifar(folder: Path, plan: Path, split, rounds: int, more: str) -> Turns:
    rng = np.random.default_rng(0)
    with np.load(CIFAR) as found:
        arrays = {}
        for part, count in (("train", SAMPLES), ("test", TEST)):
            chosen = rng.permutation(len(found[f"{part}_labels"]))[:count]
            labels = found[f"{part}_labels"][chosen].reshape(-1).astype(np.int64)
            arrays[part] = (found[f"{part}_images"][chosen], labels)
    pool = Pool(*arrays["train"], arrays["test"], {})
    configs = {}
    for role, indices in zip(("learner", "provider"), split(pool.labels, rng), strict=True):
        pool.write(folder / f"{role}.npz", np.sort(indices), held_out=True)
        configs[role] = SiteFile(role=role, data=Data(kind="npz", path=str(Path("..") / f"{role}.npz")))
    for code in plan.parent.glob("*.py"):
        (folder / code.name).write_bytes(code.read_bytes())
    text = _with(plan.read_text(encoding="utf-8"), more)
    return _play(exchange.begin(folder, text, configs, 0, lambda _line: None), rounds)
