"""What only a GPU can show; `make gpu` runs it. On a machine without one, that this is said."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from alx.learning import measure, state, trajectory
from alx.tasks import replicas, supervised
from alx.tasks.data.images import NormalisedImages
from alx.tasks.models import resnet
from alx.tasks.objective import losses, optimisers
from alx.training import Training
from tests import gpu

STEPS = 6


def task(device, training=None):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (700, 3, 16, 16), dtype=torch.uint8, generator=generator)
    data = NormalisedImages(pixels, torch.randint(4, (700,), generator=generator), [], [])
    return supervised(
        lambda: resnet(widths=(8, 16), blocks=1, classes=4),
        data,
        losses("cross_entropy"),
        optimisers("sgd", {"lr": 0.05}),
        device=device,
        training=training or Training(),
    )


def start(made):
    torch.manual_seed(0)
    return state.fresh(made)


def trained(made, begin):
    run = trajectory.Run(made, begin, 1)
    for _ in range(STEPS):
        run.trainer.step()
    return run.snapshot()


def test_without_a_gpu_it_is_said_and_nothing_is_claimed():
    """As `make gpu` does it, in a process that no GPU is shown to."""
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu"], capture_output=True, text=True, check=False, env=hidden, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{gpu.NONE} (torch {torch.__version__})\n"


def test_tf32_and_gradients_are_off_where_a_loss_is_measured_and_as_before_afterwards():
    """The switches are there without a GPU too."""
    parts = torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul

    def now():
        return [part.fp32_precision for part in parts]

    before, seen = now(), []

    class Noted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            seen.append((now(), torch.is_grad_enabled()))
            return x.sum(dim=(1, 2, 3))[:, None] * self.weight

    data = NormalisedImages(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64), [], [])
    made = supervised(Noted, data, losses("cross_entropy"), optimisers("sgd", {"lr": 0.1}))
    held = state.fresh(made)
    measure.measure(made, made.new_model(), held)
    measure.measure_all(made, [made.new_model()], [held])
    assert seen
    assert all(each == (["ieee"] * 3, False) for each in seen)
    assert now() == before
    with pytest.raises(KeyError), measure.exact():
        raise KeyError
    assert now() == before


@pytest.mark.gpu
def test_losses_of_a_gpu_are_those_of_a_cpu_but_for_the_last_digits_of_float32():
    """With TF32 they differ in the fourth digit."""
    here, there = task("cpu"), task("cuda")
    begin = start(here)
    ours, theirs = (measure.measure(made, made.new_model(), begin) for made in (here, there))
    assert theirs.count == ours.count
    assert theirs.total == pytest.approx(ours.total, rel=1e-6)
    assert measure.measure(there, there.new_model(), begin).total == theirs.total  # repeatable to the bit


@pytest.mark.gpu
def test_replicas_on_gpus_give_the_digits_of_one():
    """All that there are; of one, two copies on it."""
    places = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
    places = places if len(places) > 1 else places * 2
    one = task(places[0])
    several = replicas.spread([task(place) for place in places], places)
    begin = start(one)
    states = [begin] + [trained(one, begin)] * 2
    found = [measure.measure_all(made, [made.new_model() for _ in states], states) for made in (one, several)]
    assert found[0] == found[1]


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("training", "tolerance"),
    [
        (Training(channels_last=True), 1e-2),
        (Training(precision="bfloat16"), 5e-2),
        (Training(channels_last=True, precision="bfloat16"), 5e-2),
        (Training(compile=True), 1e-2),
        (Training(channels_last=True, precision="bfloat16", compile=True), 5e-2),
    ],
    ids=str,
)
def test_a_fast_turn_on_a_gpu_goes_where_a_plain_one_goes(training, tolerance):
    """Six steps: the mean loss of the state that is reached, beside float32 without any of it."""
    plain, fast = task("cuda"), task("cuda", training)
    begin = start(plain)
    ends = [measure.measure(plain, plain.new_model(), trained(made, begin)).total / 700 for made in (plain, fast)]
    first = measure.measure(plain, plain.new_model(), begin).total / 700
    assert ends[0] != first
    assert ends[1] == pytest.approx(ends[0], rel=tolerance)
    assert {value.dtype for value in trained(fast, begin).values()} <= {torch.float32, torch.int64}
