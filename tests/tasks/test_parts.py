"""What is frozen or a site's own stays at home: by patterns over the names of a model's state."""

import copy

import pytest
import torch
from torch import nn

from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.learning.task import LossSum, Task
from alx.tasks import check_task, parts, supervised


class Net(nn.Module):
    """A backbone with batch norm and dropout, and a head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x):
        return self.head(self.backbone(x))


X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
HEAD = {"head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias"}
NORM = {f"backbone.1.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
BACKBONE = {"backbone.0.weight", "backbone.0.bias"} | NORM


def plain(make=Net):
    data = torch.utils.data.TensorDataset(X, Y)
    return supervised(make, data, nn.CrossEntropyLoss(reduction="none"), lambda p: torch.optim.SGD(p, lr=0.5), batch_size=8)


def split(freeze=(), personal=(), make=Net):
    task = plain(make)
    with torch.random.fork_rng():
        return parts.split(task, task.new_model(), freeze, personal)


def test_every_tensor_of_the_state_is_in_one_part():
    found = parts.of(Net(), list(Net().state_dict()), ["backbone.0.*"], ["backbone.1.*"])
    assert set(found.sent) == HEAD
    assert set(found.frozen) == {"backbone.0.weight", "backbone.0.bias"}
    assert set(found.personal) == NORM


def test_only_what_is_trained_is_in_the_state_and_the_frozen_weights_never_change():
    task = split(["backbone.*"])
    run = trajectory.Run(task, state.fresh(task), 1)
    assert run.snapshot().keys() == HEAD
    assert task.frozen(run.model).keys() == BACKBONE
    before = copy.deepcopy(dict(task.frozen(run.model)))
    start = run.snapshot()
    held = run.trainer.state_dict()["descent"]["optimiser"]["param_groups"][0]["params"]
    assert len(held) == len(HEAD)
    for _ in range(10):
        run.trainer.step()
    assert all(torch.equal(value, before[name]) for name, value in task.frozen(run.model).items())
    assert not any(torch.equal(value, start[name]) for name, value in run.snapshot().items())


def test_a_frozen_module_stays_in_evaluation_mode_with_its_batch_norm_and_dropout_and_the_rest_trains():
    model = split(["backbone.*"]).new_model()
    for each in (model, copy.deepcopy(model)):
        each.train()
        assert not any(part.training for part in each.backbone.modules())
        assert all(part.training for part in each.head.modules())
        each.eval()
        assert not any(part.training for part in each.modules())


def test_a_module_some_of_whose_tensors_are_frozen_trains_in_the_mode_it_is_put_into():
    model = split(["backbone.0.*", "backbone.1.weight"]).new_model().train()
    assert not model.backbone[0].training
    assert model.backbone[1].training
    assert model.backbone.training


def test_frozen_weights_lie_in_memory_once_and_trained_ones_once_a_model():
    task = split(["backbone.*"])
    first, second = task.new_model(), task.new_model()
    where = [{name: value.data_ptr() for name, value in each.named_parameters()} for each in (first, second)]
    same = {name for name in where[0] if where[0][name] == where[1][name]}
    assert same == {"backbone.0.weight", "backbone.0.bias", "backbone.1.weight", "backbone.1.bias"}


def test_parameters_that_the_model_itself_made_untrainable_stay_at_home_and_keep_their_mode():
    def adapter():
        net = Net()
        net.backbone[0].requires_grad_(requires_grad=False)
        return net

    task = split(make=adapter)
    model = task.new_model().train()
    assert task.frozen(model).keys() == {"backbone.0.weight", "backbone.0.bias"}
    assert all(part.training for part in model.modules())
    assert check_task(task) == []


def test_a_split_task_keeps_every_promise():
    assert check_task(split(["backbone.*"])) == []


def test_nothing_is_changed_where_all_travels():
    task = plain()
    assert parts.split(task, task.new_model()) is task


def test_a_tensor_of_two_names_is_frozen_by_either():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside, self.outside, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
            self.outside.weight = self.inside.weight

        def forward(self, x):
            return self.head(self.outside(self.inside(x)))

    task = split(["inside.weight"], make=Tied)
    model = task.new_model()
    assert task.frozen(model).keys() == {"inside.weight", "outside.weight"}
    assert model.outside.weight is model.inside.weight
    with pytest.raises(ConfigError, match="in both freeze and personal"):
        split(["inside.weight"], ["outside.weight"], make=Tied)


def test_a_state_of_a_tasks_own_is_narrowed_by_its_own_names():
    def head(model):
        return {f"top.{name}": value for name, value in model.head.state_dict().items()}

    def put(model, held):
        model.head.load_state_dict({name.removeprefix("top."): value for name, value in held.items()})

    task = Task(Net, None, lambda _: LossSum(0.0, 1), state=head, load=put)
    narrow = parts.split(task, Net(), ["top.0.*"])
    model = narrow.new_model()
    assert narrow.state(model).keys() == {"top.2.weight", "top.2.bias"}
    given = {name: torch.zeros_like(value) for name, value in narrow.state(model).items()}
    before = model.head[0].weight.clone()
    narrow.load(model, given)
    assert not model.head[2].weight.any()
    assert torch.equal(model.head[0].weight, before)


@pytest.mark.parametrize(
    ("freeze", "personal", "said", "hint"),
    [
        (["backbon.*"], [], "freeze has 'backbon.*', and no tensor", "backbone.*"),
        ([], ["Head.2.weight"], "personal has 'Head.2.weight', and no tensor", "head.2.weight"),
        (["backbone.*"], ["*.1.*"], "'backbone.1.weight' is in both freeze and personal", "the same on both sides"),
        (["*"], [], "leave no parameter that is trained and travels", "name fewer"),
        (["*.weight", "*.bias"], [], "leave no parameter that is trained and travels", "name fewer"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(freeze, personal, said, hint):
    with pytest.raises(ConfigError) as caught:
        split(freeze, personal)
    assert said in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("change", [lambda held: held.pop("head.0.bias"), lambda held: held.update(more=torch.zeros(1))])
def test_a_state_with_a_tensor_less_or_more_is_not_loaded(change):
    task = split(["backbone.*"])
    held = state.fresh(task)
    change(held)
    with pytest.raises(ConfigError, match="does not take a state"):
        state.put(task, task.new_model(), held)


def test_shared_frozen_weights_do_not_count_where_models_are_held_at_once():
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.base, self.head = nn.Linear(2048, 2048), nn.Linear(4, 3)

    task = Task(Large, None, None)
    narrow = parts.split(task, Large(), ["base.*"])
    assert measure.together(narrow, 60) == 32
