"""What wrong answers cost, where the loss is weighed by the costs and where the answer is: `python -m tests.bench.costs`.

Both sites' samples in one place, as a model's probabilities are the question here, not how it came about: the built-in
task of a plan, 150 and 600 steps, half of the samples kept apart. Three tables, all offline, standing in for credit data:

- `drawn`: scikit-learn's make_classification, 1,000 rows, 20 columns, three in ten bad; a bad one called good costs 5;
- `tumours`: breast cancer (UCI) by three weak columns, of the malignant ones those kept that make up a fifth; likewise;
- `grades`: diabetes (Efron et al., 2004), its progression in four grades; the cost is the distance between grades.
"""

import itertools
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from torch.utils.data import TensorDataset

from alx.learning import trajectory
from alx.objective import Objective
from alx.tasks import costs, supervised
from alx.tasks.models import mlp
from alx.tasks.objective import losses, optimisers

LENGTHS = (150, 600)  # steps: at 600 each has learnt its own samples by heart
CREDIT = {"0": {"1": 1.0}, "1": {"0": 5.0}}
GRADES = {str(i): {str(j): float(abs(i - j)) for j in range(4) if j != i} for i in range(4)}
Table = tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]", dict[str, dict[str, float]]]


def drawn(rng: np.random.Generator) -> Table:
    x, y = datasets.make_classification(
        1000, 20, n_informative=6, weights=[0.7], flip_y=0.1, class_sep=0.7, random_state=int(rng.integers(1 << 31))
    )
    return x, y, CREDIT


def tumours(rng: np.random.Generator) -> Table:
    x, y = datasets.load_breast_cancer(return_X_y=True)
    bad, good = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    rows = np.concatenate([good, rng.permutation(bad)[: len(good) // 4]])
    return x[rows][:, [1, 4, 8]], (y[rows] == 0).astype(int), CREDIT  # texture, smoothness, symmetry


def grades(_rng: np.random.Generator) -> Table:
    x, y = datasets.load_diabetes(return_X_y=True)
    return x, np.digitize(y, np.quantile(y, [0.25, 0.5, 0.75])), GRADES


def played(table: Callable[[np.random.Generator], Table], steps: int, seed: int) -> Iterator[tuple[str, float]]:
    """What an answer cost on samples kept apart, by way of training and of answering."""
    rng = np.random.default_rng(seed)
    x, y, paid = table(rng)
    order = rng.permutation(len(y))
    x, y = torch.tensor(x[order], dtype=torch.float32), torch.tensor(y[order])
    half = len(y) // 2
    mean, std = x[:half].mean(0), x[:half].std(0)
    x = (x - mean) / std
    plain = Objective(costs=paid)
    by_cost = {name: sum(row.values()) for name, row in paid.items()}
    least = min(by_cost.values())
    ways = {
        "plain": plain,
        "weighed": Objective(costs=paid, class_weights={name: w / least for name, w in by_cost.items()}),
        "by counts": Objective(costs=paid, class_counts={str(i): int((y[:half] == i).sum()) for i in range(len(paid))}),
    }
    for name, objective in ways.items():
        task = supervised(
            lambda: mlp(x.shape[1], len(paid), 32),
            TensorDataset(x[:half], y[:half]),
            losses("cross_entropy", objective),
            optimisers("adam", {"lr": 0.003}),
            batch_size=32,
        )
        trajectory.seed_all(seed)
        model = task.new_model()
        trainer = task.trainer(model, seed)
        for _ in range(steps):
            trainer.step()
        with torch.no_grad():
            outputs = model.eval()(x[half:])
        said = {
            "the likeliest": outputs.argmax(1),
            "the cheapest": costs.answers(outputs, objective),
            "the cheapest, weights left in": costs.answers(outputs, plain),
        }
        for way, answered in said.items():
            if name != "plain" or way != "the cheapest, weights left in":
                yield f"{name}, {way}", float(costs.paid(answered, y[half:], plain).mean())


def main() -> None:
    torch.set_num_threads(1)
    for seeds in (range(5), range(5, 10)):
        for table, steps in itertools.product((drawn, tumours, grades), LENGTHS):
            found: dict[str, list[float]] = {}
            for seed in seeds:
                for way, cost in played(table, steps, seed):
                    found.setdefault(way, []).append(cost)
            for way, each in found.items():
                sys.stdout.write(
                    f"seeds {seeds[0]}-{seeds[-1]}  {table.__name__:8} {steps} steps  {way:42} "
                    f"{statistics.mean(each):.3f} +- {statistics.stdev(each):.3f}\n"
                )


if __name__ == "__main__":
    main()
