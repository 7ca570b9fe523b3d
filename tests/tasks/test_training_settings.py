"""The plan's [training]: channels last, bfloat16 and compile change the steps, and what is measured only if it says so."""

import shutil

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx import plan
from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.tasks import check, load, supervised
from alx.tasks.data.images import NormalisedImages
from alx.tasks.data.samples import of, placed
from alx.tasks.models import small_cnn
from alx.tasks.objective import losses, optimisers
from alx.training import Training
from alx.transforms import Transform
from alx.turns import looks
from tests.conftest import Plain, make_world

COUNT = 35  # batches of 8, 8, 8, 8 and 3
MIRRORED = [Transform(name="RandomHorizontalFlip")]
HEAD = 'name = "x"\nrounds = 1\nround_steps = 1\nsampling_period = 1\noptimiser = { name = "sgd", lr = 0.1 }\n'


def images(count=COUNT, channels=1, size=8):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, channels, size, size), dtype=torch.uint8, generator=generator)
    return NormalisedImages(pixels, torch.randint(3, (count,), generator=generator), [0.4] * channels, [0.3] * channels)


def task(training, data=None, model=lambda: small_cnn(1, 8, 3), **more):
    made = images() if data is None else data
    adam = optimisers("adam", {"lr": 0.003})
    return supervised(model, made, losses("cross_entropy"), adam, **({"batch_size": 8, "training": training} | more))


def begun(made, seed=5):
    trajectory.seed_all(0)
    return trajectory.Run(made, state.fresh(made), seed)


def play(made, steps=10):
    return dict(trajectory.sample(begun(made), steps, 1, lambda _step, _loss: None))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


class Seen(nn.Module):
    """Notes what it was given in training."""

    def __init__(self):
        super().__init__()
        self.net, self.given = nn.Linear(64, 3), []

    def forward(self, x):
        if self.training:
            self.given.append(x.detach().clone())
        return self.net(x.flatten(1))


# --- the plan


def test_a_plan_without_training_changes_nothing_of_a_step():
    read = plan.parse(HEAD.encode()).plan.training
    assert read == Training()
    assert (read.augment, read.channels_last, read.precision, read.compile) == ([], False, "float32", False)
    assert not read.augments
    whole = "[training]\nchannels_last = true\nprecision = 'bfloat16'\ncompile = true\n"
    assert plan.parse((HEAD + whole).encode()).plan.training == Training(
        channels_last=True, precision="bfloat16", compile=True
    )


@pytest.mark.parametrize(
    "line", ["augment = true", 'precision = "float16"', "compile = 'max'", "channels_last = 0", "rotate = true"]
)
def test_values_of_training_that_cannot_be_are_refused_by_name(line):
    with pytest.raises(ConfigError, match=f"training.{line.split()[0]}: "):
        plan.parse(f"{HEAD}[training]\n{line}\n".encode())


def test_the_built_in_task_trains_as_the_plan_says(tmp_path):
    world = make_world(tmp_path / "world")
    site = world.site("learner")
    for training, said in ((Training(augment=MIRRORED), "RandomHorizontalFlip"), (Training(channels_last=True), "last")):
        with pytest.raises(ConfigError, match=rf"\[training\] .*{said} in the plan is for images .* shape \[4\]") as caught:
            load.task(site.folder, site.config, site.plan.model_copy(update={"training": training}))
        assert "out of the plan, on both sides" in caught.value.hint
    plain, rounded = (
        play(load.task(site.folder, site.config, site.plan.model_copy(update={"training": training})))
        for training in (Training(), Training(precision="bfloat16"))
    )
    assert not same(plain[10], rounded[10])


# --- data that fit


def masks():
    return TensorDataset(torch.zeros(4, 1, 8, 8), torch.zeros(4, 8, 8, dtype=torch.long))


def rows():
    return TensorDataset(torch.zeros(4, 8), torch.zeros(4, dtype=torch.long))


def test_channels_last_is_refused_where_there_are_no_images():
    with pytest.raises(
        ConfigError, match=r"\[training\] channels_last in the plan is for images .* the shape \[8\]"
    ) as caught:
        task(Training(channels_last=True), rows())
    assert "out of the plan, on both sides" in caught.value.hint


def test_dense_labels_and_rows_train_where_nothing_is_moved():
    task(Training(channels_last=True), masks())
    task(Training(precision="bfloat16"), rows())


# --- speed


def by_hand(net, data):
    """Summed in double precision, outputs computed in bfloat16 by torch's own autocast."""
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = net.eval()(data.samples_at(torch.arange(COUNT))[0])
    rows = nn.functional.cross_entropy(outputs.float(), data.targets, reduction="none")
    return rows.double().sum().item()


def test_losses_are_measured_as_trained_where_the_plan_says_so_and_plainly_else():
    plain, fast = Training(precision="bfloat16"), Training(precision="bfloat16", measuring="as_trained")
    found = {}
    for training in (Training(), plain, fast):
        made = task(training)
        begin = begun(made).snapshot()
        found[training.measuring, training.precision] = measure.measure(made, made.new_model(), begin).total
        nets = [measure.loaded(made, made.new_model(), begin)]
        found["terms", training.measuring] = float(made.sample_losses.of(nets, torch.arange(COUNT)).sum())
    assert found["plain", "bfloat16"] == found["plain", "float32"]
    assert found["as_trained", "bfloat16"] != found["plain", "float32"]
    assert found["as_trained", "bfloat16"] == pytest.approx(by_hand(nets[0], images()), rel=1e-6)
    assert found["terms", "as_trained"] == pytest.approx(found["as_trained", "bfloat16"], rel=1e-6)
    assert found["as_trained", "bfloat16"] == pytest.approx(found["plain", "float32"], rel=1e-2)
    assert (plain.measures_rounded, fast.measures_rounded) == (False, True)
    assert not Training(compile=True, measuring="as_trained").measures_rounded
    with pytest.raises(ConfigError, match='measuring = "as_trained" is of precision and compile, and the plan has neither'):
        plan.parse((HEAD + "[training]\nmeasuring = 'as_trained'\n").encode())


def test_what_differs_by_the_rounding_of_bfloat16_is_no_fault_where_it_is_measured_so():
    fast = Training(precision="bfloat16", measuring="as_trained")
    assert check.check_task(task(fast)) == []
    assert (check.likeness(None), check.likeness(Training()), check.likeness(fast)) == (1e-3, 1e-3, 3e-2)
    assert looks.slack_of(plan.parse((HEAD + "[training]\nprecision = 'bfloat16'\n").encode()).plan) == 1e-5
    text = HEAD + "[training]\nprecision = 'bfloat16'\nmeasuring = 'as_trained'\n"
    assert looks.slack_of(plan.parse(text.encode()).plan) == 1e-3


compiles = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU"),
    # torch 2.13 meets a deprecated function of its own when it first imports Inductor
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]


@pytest.mark.parametrize(
    ("training", "close"),
    [
        (Training(channels_last=True), 1e-3),
        (Training(precision="bfloat16"), 0.3),
        (Training(augment=MIRRORED, channels_last=True, precision="bfloat16"), 0.6),
        pytest.param(Training(compile=True), 1e-3, marks=compiles),  # half a minute of the compiler: once, and exactly
    ],
)
def test_faster_steps_lead_where_plain_ones_do_and_leave_the_form_of_a_state_alone(training, close):
    """Every tensor ends within `close` times the way that it went; names, types and order in memory are the same."""
    plain, made = task(Training(augment=training.augment)), task(training)
    expected, found = play(plain), play(made)
    for step, snapshot in found.items():
        assert list(snapshot) == list(expected[step])
        for name, value in snapshot.items():
            assert (value.dtype, value.shape) == (expected[step][name].dtype, expected[step][name].shape)
            assert value.is_contiguous()
    for name, value in found[10].items():
        way = (expected[10][name] - expected[0][name]).norm()
        assert (value - expected[10][name]).norm() < close * way, name
    model = plain.new_model()
    before, after, there = (measure.measure(plain, model, s).total for s in (expected[0], expected[10], found[10]))
    assert there - before == pytest.approx(after - before, rel=0.1)


@pytest.mark.parametrize(
    "training",
    [Training(augment=MIRRORED), Training(channels_last=True), Training(precision="bfloat16"), Training(compile=True)],
)
def test_losses_are_measured_alike_whatever_training_says(training):
    """To the last bit: the same images, in float32, by the model as it was made."""
    told = []
    for each in (Training(), training):
        made = task(each, held_out=images(12))
        trajectory.seed_all(0)
        model = made.new_model()
        told.append((measure.measure(made, model, state.copied(model.state_dict())), measure.held_out(made, model)))
    assert told[0] == told[1]


@pytest.mark.parametrize("training", [pytest.param(Training(compile=True, measuring="as_trained"), marks=compiles)])
def test_a_compiled_model_is_measured_by_one_graph_in_batches_of_all_sizes(training):
    plain, fast = (task(each, images(40), Seen) for each in (Training(), training))
    begin = begun(plain).snapshot()
    with measure.exact():
        ours, theirs = (
            torch.cat([made.sample_losses.of([net], rows)[0] for rows in torch.arange(40).split([24, 13, 3])])
            for made in (plain, fast)
            for net in [measure.loaded(made, made.new_model(), begin)]
        )
    assert torch.allclose(ours, theirs, rtol=1e-5)


class _Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)

    def forward(self, x):
        return tuple(self.net(x).unsqueeze(1).unbind(2))


def test_a_loss_meets_float32_outputs_in_bfloat16_training_also_several():
    met = []

    def loss(outputs, targets):
        met.extend(o.dtype for o in outputs)
        return (outputs[0] - targets).square().mean(1) + outputs[1].square().mean(1)

    data = TensorDataset(torch.randn(6, 4), torch.randn(6, 1))
    made = supervised(_Pair, data, loss, torch.optim.SGD, batch_size=3, training=Training(precision="bfloat16"))
    snapshots = play(made, 2)
    assert set(met) == {torch.float32}
    assert {v.dtype for v in snapshots[2].values()} == {torch.float32}


# --- where data live


def test_on_a_cpu_data_are_not_copied():
    data, tensors = images(), rows()
    assert placed(data, torch.device("cpu")).images.data_ptr() == data.images.data_ptr()
    assert placed(of(tensors), torch.device("cpu")).tensors[0].data_ptr() == tensors.tensors[0].data_ptr()
    own = of(Plain(data))
    assert placed(own, torch.device("cpu")) is own


def test_data_indexed_without_a_loop_live_on_the_device_and_others_stay():
    """The meta device stands for any that is no CPU: it has shapes and places, and no numbers."""
    meta = torch.device("meta")
    for data in (images(), TensorDataset(*images().samples_at(torch.arange(COUNT)))):
        there = placed(of(data), meta)
        assert there.home == meta
        inputs, targets = there.samples_at(torch.zeros(6, dtype=torch.int64, device=meta))
        assert (inputs.device, targets.device) == (meta, meta)
        assert (inputs.dtype, inputs.shape) == (torch.float32, (6, 1, 8, 8))
    own = of(Plain(images()))
    assert placed(own, meta) is own
    assert own.home == torch.device("cpu")


def test_images_become_the_numbers_they_became_out_of_place():
    data = images(channels=3)
    indices = torch.tensor([4, 0, 4])
    expected = (data.images[indices].to(torch.float32) / 255 - 0.4) / 0.3
    inputs, targets = data.samples_at(indices)
    assert torch.equal(inputs, expected)
    assert torch.equal(targets, data.targets[indices])
    assert torch.equal(data[-1][0], data[COUNT - 1][0])
    with pytest.raises(IndexError):
        data[COUNT]


@pytest.mark.gpu
def test_a_gpu_sees_the_order_and_the_augmentation_of_a_cpu_and_tells_losses_one_step_late():
    cpu, gpu = task(Training(augment=MIRRORED), model=Seen), task(Training(augment=MIRRORED), model=Seen, device="cuda")
    runs = [begun(cpu), begun(gpu)]
    told = [[run.trainer.step() for _ in range(6)] for run in runs]
    for a, b in zip(runs[0].model.given, runs[1].model.given, strict=True):
        assert torch.allclose(a, b.cpu())
    assert told[1] == pytest.approx([told[0][0], *told[0][:-1]], rel=1e-3)
