"""What a rare class comes to, plain, weighed by agreed counts, and drawn balanced: `python -m tests.bench.balance`.

Whole exchanges of real bundles (`alx simulate`): scikit-learn's make_classification, 3,000 samples of which one in twenty
is of the rare class, dealt out by the paper's rule with gamma 1; three rounds of 300 steps. The samples kept apart have as
many of each class, so that their accuracy is the mean of sensitivity and specificity.
"""

import contextlib
import itertools
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from alx.cli.main import run
from alx.study.results import Results

PLAN = """\
name = "rare"
rounds = 3
round_steps = 300
batch_size = 32

[optimiser]
name = "adam"
lr = 0.003

[model]
source = "alx.tasks.models:mlp"
arguments = { inputs = 10, classes = 2, hidden = 32 }

"""
WAYS = {
    "plain": "",
    "class_counts": "[objective]\nclass_counts = { 0 = 2850, 1 = 150 }\n",
    "balanced": "[training]\nbalanced = true\n",
}


def data(path: Path) -> None:
    """Samples and, of as many more, those of each class kept apart that the rarer has."""
    x, y = datasets.make_classification(9000, 10, n_informative=5, weights=[0.95], flip_y=0.0, class_sep=0.8, random_state=0)
    x = x.astype(np.float32)
    train = np.concatenate([np.flatnonzero(y == k)[:count] for k, count in ((0, 2850), (1, 150))])
    kept = np.concatenate([np.flatnonzero(y == k)[count : count + 250] for k, count in ((0, 2850), (1, 150))])
    arrays: dict[str, Any] = {"train_images": x[train], "train_labels": y[train]}
    np.savez(path, **arrays, test_images=x[kept], test_labels=y[kept])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        data(Path("rare.npz"))
        for seeds, (name, more) in itertools.product(("0-4", "5-9"), WAYS.items()):
            Path("plan.toml").write_text(PLAN + more, encoding="utf-8")
            asked = ["--data", "npz:rare.npz", "--split", "gamma:1", "--seeds", seeds, "--baselines", "centralised"]
            out = Path(f"{name}-{seeds}")
            with contextlib.redirect_stdout(sys.stderr):
                run(["simulate", "plan.toml", *asked, "--out", str(out)])
            found = Results.model_validate_json((out / "results.json").read_bytes())
            for algorithm in ("assisted", "centralised"):
                runs = found.of(algorithm)
                scores = [r.rounds[-1].score or 0.0 for r in runs]
                starts = sum((chosen or []).count("t=0") for r in runs for chosen in (x.selected for x in r.rounds))
                turns = sum(len(x.selected or []) for r in runs for x in r.rounds)
                sys.stdout.write(
                    f"seeds {seeds}  {name:13} {algorithm:12} "
                    f"{statistics.mean(scores):.3f} +- {statistics.stdev(scores):.3f}  t=0 chosen in {starts} of {turns}\n"
                )


if __name__ == "__main__":
    main()
