"""What [privacy] costs: held-out accuracy at several budgets and without one, and the noise in loss sums.

    python -m tests.bench.private digits 0 1 2 3 4
    python -m tests.bench.private cifar10.npz 0 1
    python -m tests.bench.private noise

Both parties hold as many samples of every class (gamma:1), and play a whole exchange by `alx simulate`.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from torch import Tensor, nn

from alx.privacy import Privacy
from alx.tasks import accountant

BUDGETS = (0.3, 1.0, 3.0, 8.0, None)
CANDIDATES = 4
DIGITS = """\
name = "private-digits"
rounds = 3
round_steps = 200
batch_size = 128

[optimiser]
name = "adam"
lr = 0.005

[model]
source = "tests.bench.private:digits_net"
"""
CIFAR = """\
name = "private-cifar"
rounds = 2
round_steps = 240
batch_size = 256

[optimiser]
name = "adam"
lr = 0.002

[images]
mean = [0.49, 0.48, 0.45]
std = [0.25, 0.24, 0.26]

[model]
source = "tests.bench.private:cifar_net"
"""
SAMPLES = 5000  # of CIFAR-10, both parties together


class _Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))


def digits_net() -> nn.Module:
    """2,410 weights."""
    return _Rows()


def cifar_net() -> nn.Module:
    """Three convolutions with GroupNorm, and a linear layer."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.Tanh()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 16, 10))


def accuracy(plan: str, arguments: list[str], seeds: list[str]) -> None:
    for budget in BUDGETS:
        limit = math.log(10)
        private = "" if budget is None else f"\n[privacy]\nepsilon = {budget}\ndelta = 1e-5\nloss_clip = {limit:.4f}\n"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plan.toml"
            path.write_text(plan + private)
            told = subprocess.run(
                [
                    *(sys.executable, "-m", "alx", "simulate", str(path), "--split", "gamma:1"),
                    *("--baselines", "learner-only", "--seeds", ",".join(seeds), "--out", f"{folder}/out", "--json"),
                    *arguments,
                ],
                check=True,
                capture_output=True,
                text=True,
            )
        found = json.loads(told.stdout)
        for name in ("assisted", "learner-only"):
            scores = [run["rounds"][-1]["score"] for run in found["runs"] if run["algorithm"] == name]
            each = [round(x, 4) for x in scores]
            print(f"epsilon {budget}  {name:<13} {sum(scores) / len(scores):.4f}  {each}", flush=True)


def noise() -> None:
    for samples in (700, 2500, 25000):
        for budget in BUDGETS[1:4]:
            privacy = Privacy(epsilon=budget, delta=1 / (10 * samples))
            turn = accountant.planned(privacy, 5 + privacy.spare, 64 / samples, 100)
            told = turn.loss_noise * math.log(10) * CANDIDATES**0.5 / samples
            choice = turn.loss_noise * math.log(10) / 2 / samples * math.pi / 6**0.5
            print(f"{samples:>6} samples  epsilon {budget}  step {turn.noise:.3f}  loss {told:.4f}  choice {choice:.4f}")


if __name__ == "__main__":
    if sys.argv[1] == "noise":
        noise()
    elif sys.argv[1] == "digits":
        accuracy(DIGITS, [], sys.argv[2:])
    else:
        accuracy(CIFAR, ["--data", f"npz:{sys.argv[1]}", "--samples", str(SAMPLES)], sys.argv[2:])
