"""A task out of a model, a data set and a loss; and everything `check_task` can say about one that is not fit."""

import dataclasses
import functools
import io
import itertools
import random
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from alx import plan, training
from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.learning.task import LossSum, SampleLosses, Task
from alx.site.site_file import Metrics
from alx.tasks import check_task, evaluation, fit, load, supervised
from alx.tasks.data.samples import Tensors
from alx.tasks.guard import guarded
from alx.tasks.metrics import Judge
from alx.tasks.objective import NAMED, accuracy, losses, optimisers
from tests.conftest import PLAN as PLAN_FILE
from tests.conftest import Plain, make_world, pair_world

COUNT = 33  # no multiple of any batch size used here


def tensors(count=COUNT, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=generator)
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())


class Restless(nn.Module):
    """Dropout and batch norm: another model in training than in evaluation, and buffers."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


def task(data=None, model=Restless, loss="cross_entropy", optimiser=adam, **more):
    return supervised(model, tensors() if data is None else data, losses(loss), optimiser, **({"batch_size": 8} | more))


def first(made, seed=0):
    trajectory.seed_all(seed)
    return state.fresh(made)


def play(made, steps=10, period=1, seed=5):
    """Snapshots of a run by step."""
    return dict(trajectory.sample(trajectory.Run(made, first(made), seed), steps, period, lambda _step, _loss: None))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@pytest.fixture(autouse=True)
def _one_thread():
    """Two cores shared with others: threads that wait for each other make small steps ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- supervised: what is measured


def test_a_loss_is_a_float64_sum_over_all_samples_whatever_the_batch_size():
    data = tensors(1200)  # more than two evaluation batches
    sums = {size: task(data, batch_size=size) for size in (1, 7, 5000)}
    start = first(sums[1])
    measured = [measure.measure(made, made.new_model(), start) for made in sums.values()]
    assert measured[0] == measured[1] == measured[2]
    model = Restless().eval()
    model.load_state_dict(start)
    with torch.no_grad():
        each = nn.functional.cross_entropy(model(data.tensors[0]), data.tensors[1], reduction="none")
    assert measured[0].count == 1200
    assert measured[0].total == pytest.approx(float(each.double().sum()), rel=1e-6)


def test_a_sum_of_many_small_losses_loses_nothing():
    """In float32, 2**24 + 1 is 2**24: a sum of float32 would stop growing."""
    count = 3 * 128
    data = TensorDataset(torch.zeros(count, 1), torch.zeros(count, 1))
    big = torch.tensor([float(1 << 24)] + [1.0] * (count - 1))
    at = iter(range(0, count, 128))
    made = supervised(lambda: nn.Linear(1, 1), data, lambda out, _y: big[(i := next(at)) : i + len(out)], adam)
    assert measure.measure(made, made.new_model(), first(made)).total == (1 << 24) + count - 1


@pytest.mark.parametrize("own", [tensors, lambda n: Plain(tensors(n))])
def test_several_models_are_measured_together_as_each_is_alone(own):
    made = task(own(300), model=Restless)
    states = [first(made, seed) for seed in range(4)]  # four models of random weights
    alone = [measure.measure(made, made.new_model(), s) for s in states]
    assert len({found.total for found in alone}) == 4
    models = [made.new_model() for _ in states]
    assert measure.measure_all(made, models, iter(states)) == alone
    assert measure.measure_all(made, models[:1], states[:1]) == alone[:1]
    one_by_one = dataclasses.replace(made, sample_losses=None)
    assert measure.measure_all(one_by_one, models[:1], states) == alone


def test_a_samples_loss_is_the_same_beside_any_other_and_adds_up():
    made = task(tensors(200), model=Restless)
    models = [made.new_model().eval() for _ in range(2)]
    whole = made.sample_losses.of(models, torch.arange(200))
    assert whole.shape == (2, 200)
    assert whole.dtype == torch.float64
    mixed = torch.randperm(200, generator=torch.Generator().manual_seed(1))[:70]
    assert torch.allclose(made.sample_losses.of(models, mixed), whole[:, mixed], rtol=1e-5)
    assert float(whole[1].sum()) == pytest.approx(made.measure(models[1]).total, rel=1e-12)


@functools.cache
def table():
    """What models share, as a table of positions."""
    return torch.linspace(0.5, 1, 3)


class Shares(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return super().forward(x) * table()


def test_what_models_share_may_be_made_while_measuring_and_trained_with():
    table.cache_clear()
    assert check_task(task(model=Shares)) == []


def test_a_data_sets_samples_are_read_once_for_all_models():
    class Counted(Plain):
        reads = 0

        def __getitem__(self, i):
            Counted.reads += 1
            return super().__getitem__(i)

    made = task(Counted(tensors(50)))
    models = [made.new_model() for _ in range(7)]
    measure.measure_all(made, models, [first(made)] * 7)
    assert Counted.reads == 50 + 1  # the first once more, to see how many to take at once


class Views(Dataset):
    """Gives slices of what it keeps."""

    def __init__(self, data):
        self.x, self.y = data.tensors

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Blocks(Views):
    """The same, a block at once where a block is asked for."""

    def samples_at(self, indices):
        if len(indices) and bool((indices.diff() == 1).all()):
            return self.x[indices[0] : indices[-1] + 1], self.y[indices[0] : indices[-1] + 1]
        return self.x[indices], self.y[indices]


class Writes(Restless):
    """Centres its inputs where they lie."""

    def forward(self, x):
        return super().forward(x.sub_(0.5))


class WritesBelow(Restless):
    """The same through NumPy, which torch's count of writes does not see."""

    def forward(self, x):
        x.numpy()[:] -= np.float32(0.5)
        return super().forward(x)


class Centres(Restless):
    def forward(self, x):
        return super().forward(x - 0.5)


def shifting(out, y):
    return nn.functional.cross_entropy(out, y.add_(1).remainder_(3), reduction="none")


def shifted(out, y):
    return nn.functional.cross_entropy(out, (y + 1) % 3, reduction="none")


@pytest.mark.parametrize(
    "own", [tensors, lambda: Views(tensors()), lambda: Blocks(tensors()), lambda: Subset(Views(tensors()), range(COUNT))]
)
@pytest.mark.parametrize("writes", [(Writes, shifted), (WritesBelow, shifted), (Centres, shifting)])
def test_what_a_model_or_a_loss_writes_into_its_batch_reaches_no_other_model_and_no_data(own, writes):
    """Losses of four models measured together, trained on the way: those of code that leaves its batch alone."""
    found = []
    for model, loss in (writes, (Centres, shifted)):
        data = own()
        made = supervised(model, data, loss, adam, batch_size=8, held_out=own())
        snapshots = list(play(made, 9, 3).values())
        losses_found = measure.measure_all(made, [made.new_model() for _ in snapshots], snapshots)
        alone = [measure.measure(made, made.new_model(), s) for s in snapshots]
        assert losses_found == alone
        judge = measure.loaded(made, made.new_model(), snapshots[-1])
        found.append((losses_found, measure.held_out(made, judge), measure.held_out(made, judge)))
        assert check_task(made) == []
        kept = data.dataset if isinstance(data, Subset) else data
        x, y = kept.tensors if isinstance(kept, TensorDataset) else (kept.x, kept.y)
        assert torch.equal(x, tensors().tensors[0])
        assert torch.equal(y, tensors().tensors[1])
    assert found[0] == found[1]
    assert len({loss.total for loss in found[0][0]}) == 4


@pytest.mark.parametrize(
    ("model", "shape", "size"),
    [
        (lambda: nn.Linear(30, 2), (30,), 1024),
        (lambda: nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32), 32),  # 64 kB a sample: 16 of them are a megabyte
        (lambda: nn.Conv2d(1, 16, 3, padding=1), (1, 8, 8), 256),
        (lambda: nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.Flatten(), nn.Linear(768, 3)), (1, 8, 8), 256),
        (nn.Flatten, (1, 1 << 20), 32),
    ],
)
def test_a_batch_is_measured_whose_activations_fit_into_a_cache(model, shape, size):
    found = evaluation.EvaluationBatch()
    net = model().eval()
    assert found.of(net, lambda: torch.zeros(1, *shape)) == size
    assert found.of(net, lambda: pytest.fail("asked again")) == size
    assert not any(part._forward_hooks for part in net.modules())


def test_models_with_dropout_and_batch_norm_are_measured_in_evaluation_mode_and_left_alone():
    made = task()
    start = first(made)
    model = made.new_model()
    one = measure.measure(made, model, start)
    assert measure.measure(made, model, start) == one
    assert same(state.copied(model.state_dict()), start)


def test_buffers_travel_with_the_weights():
    made = task()
    snapshots = play(made)
    assert "net.1.running_mean" in snapshots[10]
    assert snapshots[10]["net.1.num_batches_tracked"] == 10
    assert not torch.equal(snapshots[0]["net.1.running_mean"], snapshots[10]["net.1.running_mean"])
    without = {n: (v if "running" not in n else snapshots[0][n]) for n, v in snapshots[10].items()}
    model = made.new_model()
    assert measure.measure(made, model, without) != measure.measure(made, model, snapshots[10])


def test_a_plain_data_set_and_a_subset_give_the_numbers_of_a_tensor_data_set():
    data = tensors()
    start = first(task())
    runs = []
    for each in (data, Plain(data), Subset(data, range(len(data)))):
        made = task(each)
        runs.append((measure.measure(made, made.new_model(), start), play(made)))
    for measured, snapshots in runs[1:]:
        assert measured == runs[0][0]
        assert all(same(snapshots[step], runs[0][1][step]) for step in snapshots)


def test_the_held_out_score_is_a_mean_and_higher_is_better():
    made = task(held_out=tensors(40, seed=1))
    start = first(made)
    model = made.new_model()
    measure.measure(made, model, start)
    kept = tensors(40, seed=1)
    with torch.no_grad():
        found = (model.eval()(kept.tensors[0]).argmax(1) == kept.tensors[1]).double().mean()
    assert measure.held_out(made, model).score == pytest.approx(float(found))
    assert measure.held_out(task(), model) is None


class Stream(IterableDataset):
    def __iter__(self):
        return iter(tensors())


class Three(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.zeros(4), 1, "name"


class Records(Three):
    def __getitem__(self, index):
        return {"image": torch.zeros(4), "label": 1}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (tensors(0), "the data set holds no samples"),
        (Stream(), "the data set, a Stream, has no length"),
        (TensorDataset(torch.zeros(3, 4)), "a sample of the data set has 1 parts, expected (input, target)"),
        (Three(), "a sample of the data set has 3 parts, expected (input, target)"),
        (Records(), "a sample of the data set has a dict, expected (input, target)"),
    ],
)
def test_a_data_set_of_another_shape_is_refused_in_words(data, said):
    with pytest.raises(ConfigError) as caught:
        measure.measure(made := task(data), made.new_model(), first(made))
    assert said in caught.value.message


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), lambda _out, _y: torch.zeros(2)])
def test_a_loss_that_is_no_number_for_each_sample_is_refused_with_the_edit_that_is_missing(loss):
    made = supervised(Restless, tensors(), loss, adam)
    with pytest.raises(ConfigError, match="for 33 samples, expected one number for each") as caught:
        measure.measure(made, made.new_model(), first(made))
    assert caught.value.hint == 'make it with reduction="none"'


OPTIMISER = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": Restless()}, "model is a model, expected a function that makes a model (its class is one, or lambda: …)"),
        ({"model": "mlp"}, "model is a str, expected a function that makes a model"),
        ({"optimiser": OPTIMISER}, "optimiser is a SGD, expected a function of a model's parameters that makes one"),
        ({"optimiser": "adam"}, "optimiser is a str, expected a function of a model's parameters that makes one"),
        ({"data": DataLoader(tensors())}, "data is a DataLoader, expected a data set (give its .dataset: batches are made"),
        ({"held_out": DataLoader(tensors())}, "held_out is a DataLoader, expected a data set"),
        (
            {"loss": nn.MSELoss},
            "loss is the class MSELoss, expected a function of outputs and targets (make one: MSELoss(red",
        ),
        ({"loss": "mse"}, "loss is a str, expected a function of outputs and targets"),
        ({"score": 0.5}, "score is a float, expected a function of outputs and targets"),
        ({"batch_size": 0}, "batch_size is 0, expected a whole number, at least 1"),
        ({"batch_size": 8.0}, "batch_size is 8.0, expected a whole number, at least 1"),
    ],
)
def test_what_is_given_in_place_of_what_is_meant_is_told(given, said):
    meant = {"model": Restless, "data": tensors(), "loss": losses("cross_entropy"), "optimiser": adam}
    with pytest.raises(ConfigError) as caught:
        supervised(**(meant | given))
    assert said in f"{caught.value.message} ({caught.value.hint})"


def test_a_loss_that_gives_no_tensor_is_told():
    made = supervised(Restless, tensors(), lambda _out, _y: 1.0, adam)
    with pytest.raises(ConfigError, match="the loss gives a float for 33 samples, expected one number for each"):
        measure.measure(made, made.new_model(), first(made))


# --- supervised: how it trains


class Order(nn.Module):
    """Notes which samples it was given."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(1, 2)
        self.given = []

    def forward(self, x):
        self.given.append(x[:, 0].int().tolist())
        return self.net(x)


def order(seed, batch_size, steps, count=COUNT):
    data = TensorDataset(torch.arange(count).float().unsqueeze(1), torch.zeros(count, dtype=torch.long))
    made = task(data, Order, batch_size=batch_size)
    run = trajectory.Run(made, first(made), seed)
    for _ in range(steps):
        run.trainer.step()
    return run.model.given


def test_the_order_of_samples_is_a_function_of_the_seed_and_every_epoch_has_all_of_them():
    given = order(seed=1, batch_size=8, steps=8)
    assert given == order(seed=1, batch_size=8, steps=8)
    assert given != order(seed=2, batch_size=8, steps=8)
    epochs = [list(itertools.chain(*given[i : i + 4])) for i in (0, 4)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(COUNT))] * 2
    assert epochs[0] != epochs[1]


def test_a_single_sample_left_over_joins_the_batch_before_it():
    """Batch norm cannot train on one sample."""
    assert [len(b) for b in order(seed=0, batch_size=8, steps=5)] == [8, 8, 8, 9, 8]
    assert [len(b) for b in order(seed=0, batch_size=10, steps=4)] == [10, 10, 10, 3]
    assert [len(b) for b in order(seed=0, batch_size=1, steps=4, count=3)] == [1, 1, 1, 1]
    assert [len(b) for b in order(seed=0, batch_size=50, steps=2)] == [COUNT, COUNT]
    play(task(tensors(COUNT), batch_size=8), steps=6)


def test_the_order_of_samples_does_not_hang_on_what_else_draws_random_numbers():
    made = task()
    start = first(made)
    runs = []
    for disturb in (lambda: None, lambda: np.random.random() + random.random()):  # noqa: NPY002, S311
        run = trajectory.Run(made, start, 5)
        for _ in range(6):
            disturb()
            run.trainer.step()
        runs.append(state.copied(run.model.state_dict()))
    assert same(*runs)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adam", {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "amsgrad": True, "weight_decay": 0.01}),
        ("adamw", {"lr": 0.01, "weight_decay": 0.1}),
        ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("sgd", {"lr": 0.1}),
    ],
)
@pytest.mark.parametrize("cut", [3, 4, 7])  # within an epoch, at its end, and within the second
def test_a_run_that_was_saved_goes_on_bit_for_bit(name, options, cut):
    made = task(optimiser=optimisers(name, options))
    whole = play(made)
    run = trajectory.Run(made, first(made), 5)
    for _ in trajectory.sample(run, cut, 1, lambda _step, _loss: None):
        pass
    buffer = io.BytesIO()
    torch.save(run.state_dict(), buffer)
    torch.rand(3)  # whatever happens in between
    rest = trajectory.Run(made, first(made), 5)
    rest.load_state_dict(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    for step, snapshot in trajectory.sample(rest, 10, 1, lambda _step, _loss: None):
        assert same(snapshot, whole[step])
    assert not same(whole[9], whole[10])


@pytest.mark.parametrize(
    ("name", "options"),
    [("adam", {"lr": 0.1, "betas": (0.5, 0.9)}), ("adamw", {"lr": 0.1, "eps": 0.1}), ("sgd", {"lr": 0.1, "momentum": 0.5})],
)
def test_the_plans_optimisers_are_torchs(name, options):
    table = plan.parse(
        (
            'name = "x"\nrounds = 1\nround_steps = 1\nsampling_period = 1\n[optimiser]\n'
            f'name = "{name}"\n' + "".join(f"{k} = {list(v) if isinstance(v, tuple) else v}\n" for k, v in options.items())
        ).encode()
    ).plan.optimiser
    ends = []
    for kind in (optimisers(table.name, table.options()), {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.get(name)):
        weight = nn.Parameter(torch.ones(3))
        optimiser = kind([weight]) if len(ends) == 0 else (kind or torch.optim.SGD)([weight], **options, weight_decay=0.0)
        for _ in range(3):
            optimiser.zero_grad()
            (weight**3).sum().backward()
            optimiser.step()
        ends.append(weight.detach().clone())
    assert torch.equal(*ends)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("sgd", {"lr": 0.1, "nesterov": True}, "torch's sgd refuses: nesterov momentum requires a momentum"),
        ("adam", {"lr": 0.1, "betas": (0.9, 1.5)}, "torch's adam refuses: invalid beta parameter"),
    ],
)
def test_options_that_torch_refuses_are_told_before_training(name, options, said):
    with pytest.raises(ConfigError, match=said):
        optimisers(name, options)


def test_a_model_with_nothing_to_train_is_told():
    with pytest.raises(ConfigError, match="optimizer got an empty parameter list"):
        optimisers("sgd", {"lr": 0.1})([])


# --- losses and scores by name


def test_the_plans_losses_are_one_number_a_sample():
    out = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    y = torch.tensor([0, 1])
    expected = [-torch.log_softmax(row, 0)[label] for row, label in zip(out, y, strict=True)]
    assert torch.allclose(losses("cross_entropy")(out, y), torch.stack(expected))
    one = torch.tensor([[0.3], [-2.0]])
    binary = -torch.log(torch.sigmoid(torch.tensor([0.3, 2.0])))
    for logits in (one, one.squeeze(1)):
        for labels in (torch.tensor([1, 0]), torch.tensor([[1.0], [0.0]])):
            assert torch.allclose(losses("binary_cross_entropy")(logits, labels), binary)
    several = losses("binary_cross_entropy")(out, torch.tensor([[1, 0], [0, 1]]))
    assert several[0] == pytest.approx(float(-torch.log(torch.sigmoid(torch.tensor([2.0, 1.0]))).mean()))
    assert losses("mse")(torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 4.0])).tolist() == [4.0, 0.0]
    assert losses("mse")(out, torch.zeros(2, 2)).tolist() == [2.5, 4.625]


@pytest.mark.parametrize("name", get_args(training.OptimiserName))
def test_an_optimiser_of_the_plan_is_torchs_and_takes_the_options_that_the_plan_has_for_it(name):
    made = optimisers(name, {})([nn.Parameter(torch.zeros(1))])
    assert type(made).__name__.lower() == name
    assert {"lr", "weight_decay", *training.OPTIONS[name]} <= made.defaults.keys()


def test_accuracy_is_the_share_of_classes_that_were_found():
    out = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    assert accuracy(out, torch.tensor([0, 0])).tolist() == [1.0, 0.0]
    assert accuracy(torch.tensor([[0.5], [-1.0]]), torch.tensor([1, 1])).tolist() == [1.0, 0.0]
    assert accuracy(torch.tensor([0.5, -1.0]), torch.tensor([[1.0], [0.0]])).tolist() == [1.0, 1.0]
    assert accuracy(out.reshape(1, 2, 2), torch.tensor([[0, 0]])).tolist() == [0.5]  # a class at each place
    assert accuracy(out, torch.tensor([[0], [1]])).tolist() == [1.0, 1.0]


def test_targets_below_0_are_left_out_of_accuracy():
    out = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    assert accuracy(out.reshape(1, 2, 2), torch.tensor([[-100, 0]])).tolist() == [0.0]
    assert accuracy(torch.tensor([0.5, 0.5]), torch.tensor([-1, 1])).isnan().tolist() == [True, False]
    kept = TensorDataset(torch.eye(3), torch.tensor([-100, 1, 2]))
    loss = nn.CrossEntropyLoss(reduction="none")
    task = supervised(lambda: nn.Linear(3, 3), kept, loss, lambda p: torch.optim.SGD(p, lr=0.1), held_out=kept)
    model = task.new_model()
    model.load_state_dict({"weight": torch.eye(3), "bias": torch.tensor([0.0, 0.0, 5.0])})
    assert measure.held_out(task, model).score == 0.5


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        ((5, 3), torch.ones(5, 3)),  # three yes-or-no labels
        ((5, 3), torch.ones(5, 3, dtype=torch.int64)),
        ((5, 3), torch.ones(5)),
        ((5, 1), torch.linspace(0, 1, 5)),  # numbers
        ((5,), -torch.ones(5)),
        ((5, 1), torch.arange(5)),
        ((2, 7, 5), torch.ones(2, 7, dtype=torch.int64)),  # classes last
    ],
)
def test_what_has_no_class_numbers_has_no_accuracy_and_needs_a_score(outputs, targets):
    with pytest.raises(ConfigError, match="there is no accuracy of outputs") as caught:
        accuracy(torch.ones(outputs), targets)
    assert "give score=" in caught.value.hint


def test_a_score_of_ones_own_is_given_what_the_loss_is_given():
    class Forecast(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(4, 1)

        def forward(self, x):
            return {"mean": self.net(x), "rest": (torch.ones(len(x)), [x])}

    def score(outputs, targets):
        mean, (ones, (x,)) = outputs["mean"], outputs["rest"]
        assert mean.shape == (600, 1)
        assert (len(ones), x.shape, len(targets)) == (600, (600, 4), 600)
        return float(mean.sum())

    made = task(model=Forecast, held_out=tensors(600, seed=1), score=score)
    model = made.new_model()
    with torch.no_grad():
        found = model(tensors(600, seed=1).tensors[0])["mean"].sum()
    assert measure.held_out(made, model).score == pytest.approx(float(found), rel=1e-5)


def test_what_cannot_be_told_of_a_model_is_refused():
    class Whole(nn.Linear):
        def forward(self, x):
            return super().forward(x).sum()

    made = task(model=lambda: Whole(4, 3), held_out=tensors(8), score=lambda _outputs, _targets: 0.0)
    with pytest.raises(
        ConfigError, match=r"the model gives a tensor of shape \[\] for 8 samples, expected tensors of a row"
    ):
        measure.held_out(made, made.new_model())
    for given, message in (
        ({}, "held_out gave 0 numbers, expected 1 to 100"),
        ({str(i): 0.0 for i in range(101)}, "held_out gave 101 numbers, expected 1 to 100"),
        ({"AUC": "high"}, "held_out's 'AUC' gave a str, expected a number"),
    ):
        own = guarded(dataclasses.replace(task(), held_out=lambda _model, given=given: given), 0)
        with pytest.raises(ConfigError, match=message):
            measure.held_out(own, own.new_model())


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "score"),
    [
        ("cross_entropy", [[2.0, -1.0], [0.5, 3.0]], [0, 0], 0.5),
        ("binary_cross_entropy", [[2.0, -1.0], [0.5, 3.0]], [[1, 0], [1, 0]], 0.75),
        ("mse", [1.0], [3.0], -4.0),
    ],
)
def test_the_score_of_a_loss_is_what_its_words_say(loss, outputs, targets, score):
    found = Judge(loss)(torch.tensor(outputs), torch.tensor(targets))
    assert next(iter(found.values)) == NAMED[loss].scored
    assert found.score == score


def test_a_score_of_ones_own_sees_all_answers_at_once_and_may_have_several_numbers():
    seen = []

    def score(outputs, targets):
        seen.append((outputs.shape, targets.shape, outputs.device.type))
        return {"mine": float(outputs.mean()), "other": float("nan"), "none": None}

    made = task(held_out=tensors(40, seed=1), score=score)
    found = measure.held_out(made, made.new_model())
    assert seen == [((40, 3), (40,), "cpu")]
    assert found.score == found.values["mine"]
    assert (found.values["other"], found.values["none"]) == (None, None)


@pytest.mark.parametrize(
    ("loss", "targets", "outputs"),
    [
        ("cross_entropy", lambda x: (x[:, 0] > 0).long(), 2),
        ("binary_cross_entropy", lambda x: (x[:, 0] > 0).long(), 1),
        ("binary_cross_entropy", lambda x: (x > 0).long(), 4),
        ("mse", lambda x: x.sum(1), 1),
        ("mse", lambda x: x @ torch.ones(4, 3), 3),
    ],
)
def test_each_of_the_plans_losses_falls_in_training(loss, targets, outputs):
    x = tensors(64).tensors[0]
    data = TensorDataset(x, targets(x))
    made = task(data, lambda: nn.Linear(4, outputs), loss, held_out=data, score=Judge(loss))
    snapshots = play(made, 40, 40)
    model = made.new_model()
    before, after = (measure.measure(made, model, s).total for s in snapshots.values())
    assert after < before
    assert check_task(made) == []


# --- a task of one's own, from its file


@dataclasses.dataclass(frozen=True)
class Config:
    """A site.toml."""

    task: str
    data: None = None
    device: str = "cpu"
    sharding: bool = False
    metrics: Metrics = dataclasses.field(default_factory=Metrics)
    settings: dict = dataclasses.field(default_factory=lambda: {"ward": 3})


PLAN = plan.parse(
    b'name = "x"\nrounds = 1\nround_steps = 1\nsampling_period = 1\nloss = "own"\n'
    b'optimiser = { name = "sgd", lr = 0.1 }\nsettings = { width = 4 }\n'
).plan


def test_a_task_of_ones_own_is_given_the_settings_of_both_sides_and_of_this_one(tmp_path):
    (tmp_path / "task.py").write_text(
        "import dataclasses, torch\nfrom torch import nn\nfrom alx.tasks import Settings, supervised\n"
        "def make_task(settings: Settings):\n"
        "    assert settings.own == {'ward': 3} and settings.folder.is_dir() and settings.device == torch.device('cpu')\n"
        "    data = torch.utils.data.TensorDataset(torch.ones(3, settings.plan.settings['width']), torch.ones(3, 1))\n"
        "    return supervised(lambda: nn.Linear(4, 1), data, nn.MSELoss(reduction='none'), torch.optim.SGD)\n"
    )
    made = load.task(tmp_path, Config("task.py"), PLAN)
    assert check_task(made) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("make = 1\n", "'task.py' has no function make_task"),
        ("make_task = 1\n", "'task.py' has no function make_task"),
        ("def make_task(settings):\n    return 3\n", "make_task of 'task.py' returned a int, expected a Task"),
        ("def make_task():\n    pass\n", "make_task of 'task.py' raised TypeError"),
        (
            "def make_task(settings):\n    return open('/no/such')\n",
            "make_task of 'task.py' raised FileNotFoundError: [Errno 2] No such file or directory: '/no/such' (task.py",
        ),
    ],
)
def test_a_file_without_a_fit_make_task_is_refused_in_words(tmp_path, source, said):
    (tmp_path / "task.py").write_text(source)
    with pytest.raises(ConfigError) as caught:
        load.task(tmp_path, Config("task.py"), PLAN)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("config", "more", "said"),
    [
        (Config("built-in"), {}, r"site.toml has no \[data\]"),
        (Config("absent.py"), {}, "there is no file"),
        (Config("built-in", device="cuda:77"), {}, "there is no device 'cuda:77' here"),
        (Config("built-in", device="abacus"), {}, "there is no device 'abacus' here"),
        (Config("built-in", data=object()), {"model": None}, r"the plan has no \[model\]"),
        (Config("built-in", data=object()), {"loss": "own"}, 'loss = "own" needs a task of your own'),
    ],
)
def test_what_a_site_or_a_plan_leaves_out_is_told(tmp_path, config, more, said):
    model = plan.ModelSource(source="torch.nn:Identity")
    with pytest.raises(ConfigError, match=said):
        load.task(tmp_path, config, PLAN.model_copy(update={"model": model, "loss": "mse"} | more))


def test_a_users_own_file_may_import_torchvision_beside_any_torch(tmp_path, alx_process):
    """As the index's torchvision beside a CPU torch: tests/tasks/test_models.py."""
    (tmp_path / "model.py").write_text(
        "import torchvision\nfrom torch import nn\ndef mlp(**a):\n    return nn.Sequential(torchvision.ops.MLP(4, [8, 3]))\n"
    )
    world = make_world(tmp_path, PLAN_FILE.replace("alx.tasks.models:mlp", "model.py:mlp"))
    done = alx_process("identity", world.disk / "x.json", "--site", world.folder("learner"))
    assert done.code == 0, done.err


TWO_OUTPUTS = """
import torch
from torch import nn
class Two(nn.Module):
    def __init__(self, aux_logits=True):
        super().__init__()
        self.net, self.aux_logits = nn.Sequential(nn.Linear(4, 3), nn.Dropout()), aux_logits
    def forward(self, x):
        out = self.net(x)
        return (out, out) if self.training and self.aux_logits else out
"""


def test_a_model_with_a_second_output_in_training_is_refused_before_it_is_paired_and_the_remedy_named(tmp_path, alx):
    text = PLAN_FILE.replace("alx.tasks.models:mlp", "model.py:Two")
    for name, arguments in (("with", "{}"), ("without", "{ aux_logits = false }")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(TWO_OUTPUTS)
        world = make_world(tmp_path / name, f"{text[: text.index('arguments')]}arguments = {arguments}\n")
        before = torch.get_rng_state()
        done = alx("identity", world.disk / "x.json", "--site", world.folder("learner"))
        if name == "with":
            assert torch.equal(torch.get_rng_state(), before)
            assert done.code == ConfigError.exit_code
            assert "the model gives a tuple in training, expected a tensor [2, …] as in evaluation" in done.err
            assert "arguments = { aux_logits = false } under [model] in the plan" in done.err
    assert done.code == 0, done.err
    pair_world(world)
    world.turn("learner")


GOOGLENET = """
name = "net"
rounds = 1
round_steps = 1
sampling_period = 1
batch_size = 2
optimiser = { name = "sgd", lr = 0.01 }
[model]
source = "torchvision:googlenet"
arguments = { num_classes = 3, init_weights = false AUX }
[disclosure]
least = 1
"""


def test_googlenet_is_taken_without_its_second_outputs_and_refused_with_them(tmp_path, alx):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", train_images=rng.integers(0, 255, (4, 32, 32, 3), np.uint8), train_labels=np.arange(4) % 3)
    for name, aux in (("with", ""), ("without", ", aux_logits = false")):
        (tmp_path / f"{name}.toml").write_text(GOOGLENET.replace(" AUX", aux))
        site = tmp_path / name
        made = alx(
            "init", site, "--role", "learner", "--plan", tmp_path / f"{name}.toml", "--data", f"npz:{tmp_path / 'd.npz'}"
        )
        assert made.code == 0, made.err
        done = alx("identity", tmp_path / f"{name}.json", "--site", site)
        assert done.code == (2 if name == "with" else 0), done.err
        assert ("gives a GoogLeNetOutputs in training" in done.err) == (name == "with")


@pytest.mark.parametrize(("batch_size", "samples"), [(1, 8), (16, 1)])
def test_batch_norm_on_one_sample_is_refused_with_its_own_remedy(batch_size, samples):
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    agreed = plan.parse(PLAN_FILE.encode()).plan.model_copy(update={"batch_size": batch_size})
    held = Tensors(*(t[:samples] for t in tensors().tensors))
    with pytest.raises(ConfigError, match="in training the model cannot take 1 sample of a") as caught:
        fit.refuse_misfit(net, held, agreed, "a", torch.device("cpu"), trained=True)
    assert "batch norm needs two samples a batch" in caught.value.hint
    fit.refuse_misfit(net[0], held, agreed, "a", torch.device("cpu"), trained=True)


# --- everything check_task can say


GOOD = task(held_out=tensors(5))


def changed(**parts):
    return dataclasses.replace(GOOD, **parts)


def each(change, count=None):
    """GOOD, what its sample_losses gives changed."""
    good = GOOD.sample_losses
    return changed(sample_losses=SampleLosses(count or good.count, lambda models, at: change(good.of(models, at))))


def with_trainer(wrap):
    """GOOD, its trainer wrapped."""
    return changed(trainer=lambda model, seed: wrap(GOOD.trainer(model, seed), model))


class Wrapped:
    """A trainer around another."""

    def __init__(self, trainer, model):
        self.inner, self.model = trainer, model

    def step(self):
        return self.inner.step()

    def state_dict(self):
        return self.inner.state_dict()

    def load_state_dict(self, saved):
        self.inner.load_state_dict(saved)


def test_a_fit_task_passes_and_leaves_no_trace():
    assert check_task(GOOD) == []
    assert check_task(task(Plain(tensors()), model=lambda: nn.Linear(4, 3))) == []


class Unseeded(nn.Linear):
    def reset_parameters(self):
        nn.init.normal_(self.weight, generator=torch.Generator().manual_seed(next(self.count)))
        nn.init.zeros_(self.bias)

    count = itertools.count()


def _not_finite():
    model = Restless()
    nn.init.constant_(model.net[0].weight, float("inf"))
    return model


class ReturnsNothing(Wrapped):
    def step(self):
        self.inner.step()


class ReturnsTensor(Wrapped):
    def step(self):
        return torch.tensor(self.inner.step())


class Diverges(Wrapped):
    def step(self):
        return self.inner.step() * float("nan")


class Idle(Wrapped):
    def step(self):
        return 1.0


class Grows(Wrapped):
    def step(self):
        loss = self.inner.step()
        self.model.register_buffer("average", torch.zeros(2))
        return loss


class Unrepeatable(Wrapped):
    draws = itertools.count()

    def step(self):
        loss = self.inner.step()
        with torch.no_grad():
            self.model.net[0].bias += 0.001 * next(self.draws)
        return loss


class Forgets(Wrapped):
    def state_dict(self):
        return {}

    def load_state_dict(self, saved):
        pass


class KeepsObjects(Wrapped):
    def state_dict(self):
        return {"inner": self.inner.state_dict(), "rates": [1.0, np.float64(0.1)]}


class StrangeKeys(Wrapped):
    def state_dict(self):
        return {np.dtype("float32"): 1}


class DrawsWhenSaved(Wrapped):
    def state_dict(self):
        torch.rand(1)
        return self.inner.state_dict()


class Explodes(Wrapped):
    def step(self):
        raise RuntimeError("no \x1b pump")


def _raise(*_arguments):
    raise OSError("the ward is closed")


def _measure_and_nudge(model):
    found = GOOD.measure(model)
    model.net[0].bias += 1
    return found


def _held_out_and_nudge(model):
    model.net[0].bias += 1
    return 1.0


ELSEWHERE = Restless().eval()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (changed(new_model=_raise), ["new_model raised OSError: the ward is closed (test_tasks.py, line"]),
        (changed(new_model=lambda: 3), ["new_model returned a int, expected an nn.Module"]),
        (changed(new_model=Restless()), ["new_model is a model, expected a function that makes a model (its class is one"]),
        (changed(new_model=nn.ReLU), ["the model's state_dict holds 0 tensors, expected 1 to 20000"]),
        (changed(new_model=lambda: Restless().requires_grad_(requires_grad=False)), ["a model without weights to train"]),
        (task(model=lambda: Unseeded(4, 3)), ["new_model gives other weights after the same seed: draw them from"]),
        (
            changed(new_model=_not_finite),
            ["weights that are not finite in 'net.0.weight'", "measure() gives nan at", "the training loss is nan"],
        ),
        (changed(measure=_raise), ["measure: the task raised OSError: the ward is closed (test_tasks.py, line"]),
        (changed(measure=lambda _model: 3.5), ["measure() returned a float, expected LossSum(total, count)"]),
        (
            changed(measure=lambda model: LossSum(torch.tensor(GOOD.measure(model).total), np.int64(3))),
            ["a total that is a Tensor, expected float: float(…) makes one", "a count that is a int64, expected int"],
        ),
        (changed(measure=lambda model: LossSum(float(model(torch.ones(1, 4)).sum()), 0)), ["measure() counts 0 samples"]),
        (
            changed(measure=lambda model: LossSum(float(model(torch.ones(1, 4)).sum() + torch.rand(1)), 1)),
            ["measure() gives another number for the same weights: no random augmentation or dropout there"],
        ),
        (changed(measure=_measure_and_nudge), ["measure() changes the model: it has to leave weights and buffers alone"]),
        (changed(measure=lambda _model: GOOD.measure(ELSEWHERE)), ["measure() never asks the model it is given"]),
        (each(lambda found: found.float()), ["sample_losses returned torch.float32 [2, 33], expected torch.float64"]),
        (each(lambda found: found[:1]), ["sample_losses returned torch.float64 [1, 33], expected torch.float64"]),
        (each(lambda found: found.numpy()), ["sample_losses returned a ndarray, expected torch.float64 [2, 33]"]),
        (each(lambda found: 2 * found), ["sample_losses adds up to "]),
        (
            each(lambda found: found + 0.01 * (found.shape[1] < COUNT)),
            ["sample_losses gives a sample another loss beside other samples or models: each has to count alone"],
        ),
        (each(lambda found: found.roll(1, 0)), ["sample_losses adds up to ", "sample_losses gives a sample another loss"]),
        (each(lambda found: found, count=32), ["sample_losses counts 32 samples, and measure() another number"]),
        (changed(signed=True), ["sample_losses is given, and losses may be below 0 (signed): leave one of the two out"]),
        (
            supervised(lambda: nn.Linear(4, 3), tensors(), lambda out, y: losses("cross_entropy")(out, y) - 0.5, adam),
            ["sample_losses gives a loss below 0: make the task with signed=True, or lift the loss"],
        ),
        (changed(held_out=_raise), ["held_out: the task raised OSError: the ward is closed"]),
        (changed(held_out=lambda _model: torch.ones(1)), ["held_out() returned a Tensor, expected float: float(…)"]),
        (changed(held_out=_held_out_and_nudge), ["held_out() changes the model"]),
        (changed(trainer=_raise), ["train: the task raised OSError: the ward is closed"]),
        (with_trainer(ReturnsNothing), ["trainer.step() returned a NoneType, expected the training loss as float"]),
        (with_trainer(ReturnsTensor), ["trainer.step() returned a Tensor, expected the training loss as float"]),
        (with_trainer(Diverges), ["the training loss is nan at step 1"]),
        (with_trainer(Idle), ["trainer.step() leaves the model's weights as they were"]),
        (with_trainer(Grows), ["training changes the model's tensors: 'average' was not there, and is F32[2] at step 2"]),
        (with_trainer(Unrepeatable), ["the same seed gives another run: draw every random number from torch"]),
        (with_trainer(Explodes), ["train: the task raised RuntimeError: no \\x1b pump (test_tasks.py, line"]),
        (with_trainer(Forgets), ["a run that was saved and loaded goes on otherwise: state_dict() of the trainer"]),
        (with_trainer(KeepsObjects), ["the trainer's state_dict()['rates'][1] is a float64: keep tensors, numbers"]),
        (with_trainer(StrangeKeys), ["the trainer's state_dict(): the key dtype('float32') is a "]),
        (with_trainer(DrawsWhenSaved), ["saving a run changes how it goes on: the trainer's state_dict() has to change"]),
    ],
)
def test_what_is_wrong_with_a_task_is_said_in_words(broken, said):
    found = check_task(broken)
    assert len(found) == len(said), found
    for sentence, start in zip(found, said, strict=True):
        assert start in sentence
        assert not sentence.endswith(".")


def test_a_task_may_use_its_model_in_another_way_than_by_calling_it():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(4, 3))

    data = tensors()

    def measured(model):
        each = nn.functional.cross_entropy(data.tensors[0] @ model.w, data.tensors[1], reduction="none")
        return LossSum(float(each.double().sum()), len(data))

    class Descent:
        def __init__(self, model):
            self.model = model

        def step(self):
            loss = nn.functional.cross_entropy(data.tensors[0] @ self.model.w, data.tensors[1])
            (gradient,) = torch.autograd.grad(loss, [self.model.w])
            with torch.no_grad():
                self.model.w -= 0.1 * gradient
            return float(loss.detach())

        def state_dict(self):
            return {}

        def load_state_dict(self, saved):
            pass

    assert check_task(Task(Bare, lambda model, _seed: Descent(model), measured)) == []
