"""What cannot be used of a task of one's own ends in a sentence wherever a task is loaded, without `alx check` before it."""

import pytest
import torch
from torch import nn

from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.tasks import check_task, fresh, load
from tests.tasks.test_tasks import PLAN, Config, Restless, first, play, task

OWN = """
import copy, functools, itertools
import numpy as np
import torch
from torch import nn
from alx.learning.task import LossSum, SampleLosses, Task
from alx.tasks import supervised

def make_task(settings):
    data = torch.utils.data.TensorDataset(torch.ones(3, 4), torch.ones(3, 2))
    return supervised(build, data, nn.MSELoss(reduction="none"), settings.optimiser)

class Plain(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)

def holds(**tensors):
    made = Plain()
    for name, value in tensors.items():
        made.register_buffer(name, value)
    return made
"""

SHARED = """
net = Plain()
parameter = nn.Parameter(torch.ones(2, 4))
table = torch.ones(8)
array = np.ones(3)
several = [Plain() for _ in range(3)]
number = itertools.count()

def same():
    return net

def shallow():
    return copy.copy(net)

kept = functools.cache(Plain)

def one_parameter():
    made = Plain()
    made.weight = parameter
    return made

def one_storage():
    made = Plain()
    made.bias = nn.Parameter(net.bias.data[:])
    return made

def part():
    return holds(mask=table[4:])

def numpys():
    return holds(mask=torch.from_numpy(array))


slices = np.ones(4)
parts = iter([slices[:3], slices[1:], *(np.ones(3) for _ in range(30))])


def overlapping():
    return holds(mask=torch.from_numpy(next(parts)))

def out_of_the_state():
    made = Plain()
    made.register_buffer("mask", table, persistent=False)
    return made

def third():
    return several[next(number) % 3]
"""


def loaded(folder, source):
    (folder / "task.py").write_text(f"{OWN}\n{source}\n")
    return load.task(folder, Config("task.py"), PLAN)


def refused(folder, source):
    with pytest.raises(ConfigError) as caught:
        loaded(folder, source)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("build", "name"),
    [
        ("same", "weight"),
        ("shallow", "weight"),
        ("kept", "weight"),
        ("one_parameter", "weight"),
        ("one_storage", "bias"),
        ("part", "mask"),
        ("numpys", "mask"),
        ("overlapping", "mask"),
        ("out_of_the_state", "mask"),
    ],
)
def test_models_that_share_a_tensor_are_refused_wherever_a_task_is_loaded(tmp_path, build, name):
    """All would be measured at the weights that were loaded last, and that loss signed as the loss of each."""
    message, hint = refused(tmp_path, f"{SHARED}\nbuild = {build}")
    assert message == f"new_model returned a model that shares '{name}' with one that it returned before"
    assert hint == "make a model anew at each call, and clone a tensor that all are to begin with"


def test_a_model_that_comes_again_later_is_refused_when_it_comes(tmp_path):
    made = loaded(tmp_path, f"{SHARED}\nbuild = third")
    made.new_model()
    with pytest.raises(ConfigError, match="shares 'weight' with one that it returned before"):
        made.new_model()


@pytest.mark.parametrize(
    ("at", "role", "command"),
    [
        ("paired", "learner", "check"),
        ("paired", "learner", "identity"),
        ("paired", "learner", "train-local"),
        ("sent", "provider", "import-and-select"),
    ],
)
def test_every_command_that_needs_a_task_refuses_models_that_share_a_tensor(stage, alx, at, role, command):
    world = stage(at)
    folder = world.folder(role)
    (folder / "task.py").write_text(f"{OWN}\n{SHARED}\nbuild = same")
    site_file = folder / "site.toml"
    lines = [line for line in site_file.read_text().split("[data]")[0].splitlines() if not line.startswith("task")]
    site_file.write_text("\n".join([*lines, 'task = "task.py"', ""]))
    before = world.fingerprint(role)
    more = {"identity": [world.disk / "new.json"], "import-and-select": sorted(world.disk.glob("alx-*/"))}.get(command, [])
    found = alx(command, *more, "--site", folder)
    assert found.code == 2
    assert "new_model returned a model that shares 'weight' with one that it returned before" in found.err
    assert world.fingerprint(role) == before


def test_a_check_of_a_task_made_by_hand_finds_models_that_share_a_tensor():
    net = Restless()
    (said,) = check_task(task(model=lambda: net))
    assert said.startswith("new_model returned a model that shares 'net.0.weight' with one that it returned before")


def test_models_may_share_within_themselves_and_memory_is_used_again_without_alarm():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode, self.decode = nn.Linear(64, 64), nn.Linear(64, 64)
            self.decode.weight = self.encode.weight
            self.register_buffer("none", torch.empty(0))

    make = fresh.Fresh(Tied)
    assert len({make().encode.weight.data_ptr() for _ in range(50)}) < 50
    held = [make() for _ in range(20)]
    assert len({m.encode.weight.data_ptr() for m in held}) == 20


# --- a state that cannot travel

OUT = "keep what is constant out of the state: register_buffer(..., persistent=False)"
NESTED = "torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]"


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of what is new or old in it
@pytest.mark.parametrize(
    ("made", "said", "hint"),
    [
        ("torch.ones(2, 2).to_sparse()", "is torch.sparse_coo, expected a dense tensor", OUT),
        ("torch.ones(2, 2).to_sparse_csr()", "is torch.sparse_csr, expected a dense tensor", OUT),
        ("torch.ones(2).to_mkldnn()", "is torch._mkldnn, expected a dense tensor", OUT),
        (f"{NESTED})", "is nested, expected a dense tensor", OUT),
        (f"{NESTED}, layout=torch.jagged)", "is nested, expected a dense tensor", OUT),
        ("torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)", "is of torch.qint8, which cannot travel", OUT),
        ("torch.empty(2, dtype=torch.uint4)", "is of torch.uint4, which cannot travel", OUT),
        ("torch.ones(2, dtype=torch.complex128)", "is of torch.complex128, which cannot travel", OUT),
        (
            "torch.inference_mode()(torch.ones)(2)",
            "was made in inference mode, and cannot be written to",
            "make the model outside of torch.inference_mode()",
        ),
        ("torch.ones([1] * 17)", "has more than 16 dimensions, which cannot travel", OUT),
    ],
)
def test_a_tensor_that_cannot_travel_is_told_wherever_a_task_is_loaded(tmp_path, made, said, hint):
    assert refused(tmp_path, f"build = lambda: holds(held={made})") == (f"the model's tensor 'held' {said}", hint)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("build = nn.ReLU", "the model's state_dict holds 0 tensors, expected 1 to 20000"),
        ("build = lambda: nn.LazyLinear(2)", "the model's tensor 'weight' has no shape yet"),
        ("build = lambda: holds(__metadata__=torch.ones(2))", "'__metadata__' has a name that safetensors keeps for itself"),
        ("build = lambda: holds(**{'a b': torch.ones(2)})", "'a b' has a name that cannot travel: spaces, or not 1 to 256"),
        (
            "build = lambda: holds(a=torch.zeros(1).expand(3))",
            "the model does not take a state of its own: Error(s) in loading",
        ),
        ("build = lambda: nn.Linear(4, 2, device='meta')", "it lies on the meta device"),
        ("build = Plain()", "model is a model, expected a function that makes a model"),
        ("class build(Plain):\n get_extra_state = lambda self: {}", "state_dict holds '_extra_state', which is no tensor"),
        ("class build(Plain):\n state_dict = lambda self: {1: self.weight}", "state_dict has the name 1, expected text"),
        ("class build(Plain):\n state_dict = lambda self: self.a", "AttributeError: 'build' object has no attribute 'a'"),
        ("class build(Plain):\n load_state_dict = lambda self, s: s['a']", "the model's state raised KeyError: 'a'"),
    ],
)
def test_a_state_that_cannot_be_taken_or_put_back_is_told_wherever_a_task_is_loaded(tmp_path, source, said):
    assert said in refused(tmp_path, source)[0]


def test_a_model_without_values_has_no_state():
    with pytest.raises(ConfigError, match="'weight' has no values: it lies on the meta device"):
        state.copied(nn.Linear(4, 2, device="meta").state_dict())


@pytest.mark.parametrize("dtype", list(state.DTYPES))
def test_a_buffer_of_every_type_that_can_travel_passes_the_check(dtype):
    class Holds(nn.Linear):
        def __init__(self):
            super().__init__(4, 3)
            self.register_buffer("held", torch.ones(3).to(dtype))

    assert check_task(task(model=Holds)) == []


class Follows(nn.Linear):
    """A buffer with a place for each sample of the batch."""

    def __init__(self, *, in_training):
        super().__init__(4, 3)
        self.in_training = in_training
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        if self.training is self.in_training:
            self.seen = torch.zeros(len(x))
        return super().forward(x)


def test_a_tensor_whose_shape_follows_the_batch_is_told_at_the_snapshot_or_at_the_next_loss():
    with pytest.raises(ConfigError) as caught:
        play(task(model=lambda: Follows(in_training=True)))
    assert caught.value.message == "training changes the model's tensors: 'seen' was F32[1], and is F32[8] at step 1"
    assert caught.value.hint == "make all of the model's tensors where it is made, in the shapes and types they keep"
    run = trajectory.Run(made := task(model=lambda: Follows(in_training=True)), first(made), 5)
    run.trainer.step()
    with pytest.raises(ConfigError, match="'seen' was F32"):  # no checkpoint that could not be gone on from
        run.state_dict()
    made = task(model=lambda: Follows(in_training=False))
    start, model = first(made), made.new_model()
    measure.measure(made, model, start)
    with pytest.raises(ConfigError, match=r"the model does not take a state of its own: .* size mismatch for seen"):
        measure.measure(made, model, start)


# --- what a task made by hand gives

HAND = """
class Odd:
    def __init__(self, **parts):
        self.step, self.state_dict, self.load_state_dict = (lambda: 1.0), dict, (lambda _saved: None)
        self.__dict__.update(parts)

build = Plain

def make_task(settings):
    parts = dict(new_model=Plain, trainer=lambda m, s: Odd(), measure=lambda m: LossSum(1.0, 1))
    return Task(**(parts | changed))
"""


@pytest.mark.parametrize(
    ("changed", "use", "said"),
    [
        ("measure=lambda m: LossSum('much', 3)", "measure", "the total of measure gave a str, expected a number"),
        ("measure=lambda m: LossSum(1.0, None)", "measure", "the count of measure raised TypeError"),
        ("measure=lambda m: LossSum(1.0, 0)", "measure", "measure counts 0 samples, expected at least 1"),
        ("held_out=lambda m: None", "held_out", "held_out gave a NoneType, expected a number"),
        ("held_out=lambda m: torch.ones(2)", "held_out", "held_out gave a Tensor, expected a number"),
        ("trainer=lambda m, s: Odd(step=lambda: None)", "step", "a training step gave a NoneType, expected a number"),
        ("trainer=lambda m, s: 3", "step", "a training step raised AttributeError: 'int' object has no attribute 'step'"),
        (
            "trainer=lambda m, s: Odd(state_dict=lambda: 3)",
            "save",
            "the trainer's state_dict() returned a int, expected a dict",
        ),
        (
            "trainer=lambda m, s: Odd(state_dict=lambda: {'a': np.float64(1)})",
            "save",
            "state_dict()['a'] is a float64: keep",
        ),
        ("trainer=lambda m, s: Odd(state_dict=lambda: {print: 1})", "save", "is a builtin_function_or_method: keep tensors"),
        ("new_model=Plain()", "load", "new_model is a model, expected a function that makes a model"),
        ("sample_losses=SampleLosses(None, None)", "load", "the count of sample_losses raised TypeError"),
    ],
)
def test_what_a_task_gives_that_cannot_be_used_is_told_where_it_is_used(tmp_path, changed, use, said):
    def used():
        made = loaded(tmp_path, f"{HAND}\nchanged = dict({changed})")
        uses = {
            "measure": made.measure,
            "held_out": made.held_out,
            "step": lambda model: made.trainer(model, 0).step(),
            "save": lambda model: made.trainer(model, 0).state_dict(),
        }
        uses[use](made.new_model())

    with pytest.raises(ConfigError) as caught:
        used()
    assert said in caught.value.message
