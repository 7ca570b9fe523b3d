"""Several devices: each loss is the one that one device gives, to the bit, and so are selections. Devices are CPUs here."""

import pytest
import torch
from torch import nn

from alx import plan
from alx.errors import ConfigError
from alx.learning import measure, state
from alx.learning.task import LossSum, SampleLosses, Task
from alx.site.site_file import SiteFile
from alx.tasks import devices, load, replicas, supervised
from alx.tasks.data.samples import Tensors
from alx.tasks.objective import losses, optimisers
from tests.conftest import PLAN

CPU = torch.device("cpu")
SAMPLES = 2 * replicas.BLOCK + 77


def made(count, task=None):
    """The same task on so many devices."""
    torch.manual_seed(0)
    data = Tensors(torch.randn(SAMPLES, 6), torch.randint(3, (SAMPLES,)))

    def one():
        return supervised(
            lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)),
            data,
            losses("cross_entropy"),
            optimisers("sgd", {"lr": 0.1}),
        )

    return replicas.spread([(task or one)() for _ in range(count)], [CPU] * count)


def models(task, count):
    out = []
    for seed in range(count):
        torch.manual_seed(seed)
        out.append(task.new_model().eval())
    return out


@pytest.mark.parametrize("names", ["cpu", "cpu,cpu", " cpu , cpu,cpu"])
def test_devices_are_named_with_commas_and_the_first_trains(names):
    assert devices.devices(names) == (CPU,) * len(names.split(","))
    assert devices.device(names) == CPU


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cpu,cuda:77", "there is no device 'cuda:77' here"),
        ("cpu,", "there is no device '' here"),
        ("cpu,meta", "'cpu' is a cpu and 'meta' a meta"),
        (",".join(["cpu"] * 65), "site.toml names 65 devices, expected at most 64"),
        ("\x1b[2J", r"'\\x1b\[2J'"),
    ],
)
def test_what_cannot_be_used_is_named(name, why):
    with pytest.raises(ConfigError, match=why):
        devices.devices(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there are GPUs")
def test_all_gpus_of_a_machine_without_one_is_refused():
    with pytest.raises(ConfigError, match=r"there is no device 'cuda:\*' here: torch finds no GPU"):
        devices.devices("cuda:*")


def test_gpus_of_two_models_do_not_measure_what_is_compared():
    with pytest.raises(ConfigError, match=r"'cuda:0' is a NVIDIA A and 'cuda:1' a NVIDIA B, .* on devices alike"):
        devices.refuse_unlike(["cuda:0", "cuda:1"], ["NVIDIA A", "NVIDIA B"])


def test_several_devices_are_not_for_one_of_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match="names 2 devices for one process, and torchrun started 4"):
        devices.devices("cpu,cpu")
    assert devices.devices("cpu") == (CPU,)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("held", [1, 2, 5])
def test_losses_on_several_devices_are_those_on_one_to_the_bit(count, held):
    """Fewer models than devices: samples are dealt; at least as many: models are."""
    one, several = made(1), made(count)
    for rows in (torch.arange(SAMPLES), torch.arange(5), torch.randperm(SAMPLES)[:1500]):
        alone, dealt = (task.sample_losses.of(models(task, held), rows) for task in (one, several))
        assert torch.equal(alone, dealt)


def test_a_model_that_changed_is_measured_as_it_is_now():
    one, several = made(1), made(3)
    rows, (net,) = torch.arange(SAMPLES), models(several, 1)
    before = several.sample_losses.of([net], rows)
    with torch.no_grad():
        net[0].weight.mul_(1.5)
    after = several.sample_losses.of([net], rows)
    assert not torch.equal(before, after)
    assert torch.equal(after, one.sample_losses.of([net], rows))


def test_sums_of_several_states_are_equal_and_the_random_state_is_left_alone():
    one, several = made(1), made(2)
    states = [state.copied(net.state_dict()) for net in models(one, 4)]
    found = []
    for task in (one, several):
        nets = models(task, 4)
        torch.manual_seed(5)
        found.append((measure.measure_all(task, nets, states), torch.rand(1)))
    assert found[0] == found[1]


def test_large_models_are_held_one_for_each_device_and_small_ones_as_many_as_on_one():
    assert [measure.together(made(n), 64 << 20) for n in (1, 2, 4)] == [1, 2, 4]
    assert [measure.together(made(n), 100) for n in (1, 4)] == [32, 32]
    assert measure.together(made(4), 4 << 30) == 1  # all of them would lie on the first


def test_what_a_thread_raises_is_raised_and_the_others_end_first():
    ended = []

    def task(*, broken=False):
        def of(nets, rows):
            if broken:
                raise ConfigError("the second failed")
            ended.append(len(rows))
            return torch.zeros(len(nets), len(rows), dtype=torch.float64)

        return Task(lambda: nn.Linear(1, 1), None, None, sample_losses=SampleLosses(SAMPLES, of))

    several = replicas.spread([task(), task(broken=True), task()], [CPU] * 3)
    with pytest.raises(ConfigError, match="the second failed"):
        several.sample_losses.of([nn.Linear(1, 1)], torch.arange(SAMPLES))
    assert sorted(ended) == [77, replicas.BLOCK]


def test_a_task_without_losses_of_samples_is_measured_on_the_first_device():
    task = Task(lambda: nn.Linear(1, 1), None, lambda _net: LossSum(1.0, 1))
    assert replicas.spread([task, task], [CPU, CPU]) is task


@pytest.mark.parametrize("device", ["cpu,cpu", "cpu,cpu,cpu"])
def test_a_site_with_several_devices_chooses_and_seals_what_it_does_with_one(stage, device):
    found = []
    for name in ("cpu", device):
        world = stage("answered")
        path = world.folder("learner") / "site.toml"
        path.write_text(path.read_text(encoding="utf-8").replace('device = "auto"', f'device = "{name}"'), encoding="utf-8")
        assert world.site("learner").config.device == name
        assert world.take("learner", world.bundle("provider")) == 0
        world.turn("learner")
        position = world.state("learner").position
        found.append((position.selected[-1], position.sealed[-1].digest))
    assert found[0] == found[1]


OWN = """
import torch
from alx.tasks import supervised

def make_task(settings):
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(40, 4), torch.randint(3, (40,)))
    with open(settings.folder / "asked", "a") as file:
        file.write(f"{settings.device}\\n")
    return supervised(settings.model, data, settings.loss, settings.optimiser, device=settings.device)
"""


def test_a_task_of_ones_own_is_made_once_for_each_device_and_measured_on_all(tmp_path):
    (tmp_path / "task.py").write_text(OWN, encoding="utf-8")
    agreed, totals = plan.parse(PLAN.encode()).plan, []
    for device in ("cpu", "cpu,cpu,cpu"):
        made = load.task(tmp_path, SiteFile(role="learner", task="task.py", device=device), agreed)
        nets = models(made, 4)
        totals.append(made.sample_losses.of(nets, torch.arange(40)))
    assert (tmp_path / "asked").read_text(encoding="utf-8").split() == ["cpu"] * 4
    assert made.sample_losses.devices == 3
    assert torch.equal(*totals)
