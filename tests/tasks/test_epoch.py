"""[training] balanced: each class equally often in every epoch, bit for bit the same after a stop, and never measured."""

import io

import pytest
import torch
from torch.utils.data import TensorDataset

from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.tasks import check_task, distillation, epoch, supervised
from alx.tasks.data.samples import Tensors
from alx.tasks.models import mlp
from alx.tasks.objective import losses, optimisers
from alx.training import Distillation, Training
from tests.conftest import Plain
from tests.tasks.test_training_settings import begun, play, same

LABELS = torch.tensor([0] * 3 + [1] * 24 + [2] * 8)
BALANCED = Training(balanced=True)


def data(labels=LABELS):
    return Tensors(torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(1)), labels)


def task(training=BALANCED, samples=None, **more):
    made = data() if samples is None else samples
    adam = optimisers("adam", {"lr": 0.003})
    return supervised(
        lambda: mlp(4, 3, 8), made, losses("cross_entropy"), adam, **({"batch_size": 8, "training": training} | more)
    )


def test_each_class_comes_equally_often_in_every_epoch_and_so_does_each_sample_of_it():
    epochs = epoch.Epochs(data(), 5, balanced=True)
    seen = []
    for _ in range(20):
        drawn = epochs.draw()
        assert len(drawn) == 35
        assert sorted(LABELS[drawn].bincount().tolist()) == [11, 12, 12]  # 35 samples by 3 classes
        times = drawn.bincount(minlength=35)
        for label in range(3):
            of_class = times[label == LABELS]
            assert int(of_class.max() - of_class.min()) <= 1
        seen.append(drawn)
    assert len({tuple(each.tolist()) for each in seen}) == 20
    assert set(torch.cat(seen).tolist()) == set(range(35))


def test_on_the_average_it_draws_what_torchs_weighted_sampler_draws():
    weights = 1 / LABELS.bincount()[LABELS].double()
    theirs = torch.utils.data.WeightedRandomSampler(weights, 35 * 400, generator=torch.Generator().manual_seed(0))
    epochs = epoch.Epochs(data(), 0, balanced=True)
    counts = [torch.tensor(list(theirs)), torch.cat([epochs.draw() for _ in range(400)])]
    often = [each.bincount(minlength=35) / len(each) for each in counts]
    assert torch.allclose(*often, atol=0.005)


def test_without_balance_the_order_is_torchs_permutation():
    order = epoch.Epochs(data(), 5, balanced=False).draw()
    assert torch.equal(order, torch.randperm(35, generator=torch.Generator().manual_seed(5)))


@pytest.mark.parametrize("term", [None, distillation.term("cross_entropy", Distillation(weight=2.0))])
@pytest.mark.parametrize("cut", [3, 7])
def test_a_balanced_run_goes_on_bit_for_bit(term, cut):
    made = task(distillation=term)
    whole, run = play(made), begun(made)
    for _ in trajectory.sample(run, cut, 1, lambda _step, _loss: None):
        pass
    buffer = io.BytesIO()
    torch.save(run.state_dict(), buffer)
    buffer.seek(0)
    rest = begun(made)
    rest.load_state_dict(torch.load(buffer, weights_only=True))
    found = dict(trajectory.sample(rest, 10, 1, lambda _step, _loss: None))
    assert all(same(snapshot, whole[step]) for step, snapshot in found.items())


def test_balance_changes_the_steps_and_never_what_is_measured():
    balanced, plain = task(), task(Training())
    at = state.fresh(plain)
    assert not same(play(balanced)[10], play(plain)[10])
    assert measure.measure(balanced, balanced.new_model(), at) == measure.measure(plain, plain.new_model(), at)
    assert check_task(balanced) == []


def test_a_single_sample_left_over_joins_the_batch_before_it():
    run = begun(task(batch_size=17))
    for at in (17, 35, 17, 35):
        run.trainer.step()
        assert run.trainer.state_dict()["at"] == at


def test_answers_of_the_start_are_the_same_for_a_sample_that_comes_twice():
    net, samples = mlp(4, 3, 8).eval(), data()
    start = distillation.Start(net, lambda twin: twin, samples, torch.device("cpu"), torch.randperm(35))
    rows = epoch.Epochs(samples, 3, balanced=True).draw()
    assert len(set(rows.tolist())) < 35
    for part in rows.split(8):
        inputs, _ = samples.samples_at(part)
        assert torch.allclose(start.of(part, inputs, changed=False), net(inputs).detach(), atol=1e-6)


@pytest.mark.parametrize(
    "labels", [torch.tensor([0.0, 1.0, 0.0, 0.0]), torch.tensor([[0], [1], [0], [0]]), torch.arange(4) == 1]
)
def test_yes_or_no_labels_are_two_classes_however_they_are_stored(labels):
    assert [rows.tolist() for rows in epoch.by_class(data(labels))] == [[0, 2, 3], [1]]


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (data(torch.tensor([0.5, 1.0, 2.0])), "the data have labels with a fraction"),
        (data(torch.zeros(3, 2)), "the data have 2 labels a sample"),
        (Plain(TensorDataset(torch.zeros(4, 4), torch.zeros(4))), "the data set is asked for one at a time"),
    ],
)
def test_data_without_classes_at_hand_are_refused_before_any_training(samples, told):
    with pytest.raises(ConfigError, match=rf"\[training\] balanced .*{told}"):
        task(samples=samples)
