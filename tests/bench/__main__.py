"""`python -m tests.bench [FILE.json]`: every benchmark, one table, and the same as JSON."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from alx.cli import screen
from tests.bench import rollouts, training


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


torch.set_num_threads(1)
measured = [*training.rows(), *rollouts.rows()]
table = [[f"{r.what}, {r.unit}", r.rival, _rate(r.ours), _rate(r.theirs), f"{r.ratio:.2f}"] for r in measured]
print(screen.table(["what", "beside", "ours", "theirs", "ours/theirs"], table, left=2))
Path(sys.argv[1] if len(sys.argv) > 1 else "bench.json").write_text(json.dumps([asdict(r) for r in measured], indent=1))
