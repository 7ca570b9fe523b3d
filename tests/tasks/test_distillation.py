"""The plan's [distillation]: what it adds to a step, by hand; a turn that is cut goes on bit for bit."""

import io
import math

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx import plan
from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.objective import Objective
from alx.tasks import check_task, distillation, load, supervised
from alx.tasks.models import small_cnn
from alx.tasks.objective import losses, optimisers
from alx.training import Distillation, Training
from tests.conftest import make_world
from tests.tasks.test_augmentation import MOVING
from tests.tasks.test_training_settings import HEAD, begun, images, play, same

FIRM = Distillation(weight=2.0)


def task(wanted=FIRM, training=None, **more):
    term = distillation.term("cross_entropy", wanted)
    made = {"batch_size": 8, "training": training or Training(), "distillation": term} | more
    return supervised(
        lambda: small_cnn(1, 8, 3), images(), losses("cross_entropy"), optimisers("adam", {"lr": 0.003}), **made
    )


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def softmax(z):
    e = [math.exp(v) for v in z]
    return [v / sum(e) for v in e]


def test_not_true_compares_the_classes_other_than_the_label():
    z, s, y = torch.tensor([[1.0, -1.0, 0.5]]), torch.tensor([[9.0, 1.0, 2.0]]), torch.tensor([0])
    by_hand = 3 * 4 * kl(softmax([0.5, 1.0]), softmax([-0.5, 0.25]))  # weight 3, temperature 2, squared
    term = distillation.term("cross_entropy", Distillation(weight=3, temperature=2))
    assert term(z, s, y).tolist() == pytest.approx([by_hand], rel=1e-5)
    assert term(s, s, y).tolist() == pytest.approx([0.0], abs=1e-6)
    moved = term(z + torch.tensor([[5.0, 0, 0]]), s, y)
    assert moved.tolist() == pytest.approx([by_hand], rel=1e-5)  # the label's own logit is left to the loss


def test_all_compares_every_class():
    z, s, y = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([0])
    term = distillation.term("cross_entropy", Distillation(weight=1, classes="all"))
    assert term(z, s, y).tolist() == pytest.approx([kl(softmax([0, 2]), softmax([1, -1]))])


def test_of_two_classes_both_are_compared_as_far_as_the_start_is_right():
    """Where each side holds one of two classes, it is not held to a start that knows the other alone, or neither."""
    z = torch.tensor([[1.0, -1.0]] * 3, requires_grad=True)
    s, y = torch.tensor([[0.0, 2.0], [0.0, 2.0], [5.0, 5.0]]), torch.tensor([1, 0, 0])
    found = distillation.term("cross_entropy", FIRM)(z, s, y)
    found.sum().backward()
    trust = 2 * softmax([0, 2])[1] - 1
    assert found.tolist() == pytest.approx([FIRM.weight * trust * kl(softmax([0, 2]), softmax([1, -1])), 0.0, 0.0], rel=1e-5)
    assert z.grad[0].tolist() != [0.0, 0.0]
    assert z.grad[1:].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_a_label_is_held_as_two_classes_are():
    z, s, y = torch.randn(20), torch.randn(20), torch.randint(2, (20,))
    wanted = Distillation(weight=0.7, temperature=2)
    as_classes = [torch.stack([torch.zeros(20), t], 1) for t in (z, s)]
    two = distillation.term("cross_entropy", wanted)(*as_classes, y)
    one = distillation.term("binary_cross_entropy", wanted)(z[:, None], s[:, None], y)
    assert torch.allclose(one.squeeze(1), two, atol=1e-6)


def test_what_a_loss_leaves_out_is_left_out_and_small_numbers_are_compared_in_float32():
    z, s = torch.tensor([[1.0, 40.0, 2.0]], dtype=torch.float16), torch.tensor([[1.0, 40.0, 2.0]], dtype=torch.float16)
    term = distillation.term("cross_entropy", FIRM)
    assert term(z, s, torch.tensor([0], dtype=torch.uint8)).tolist() == [0.0]
    assert term(z, s + torch.tensor([0, 9, 0]), torch.tensor([-100])).tolist() == [0.0]  # ignore_index
    with pytest.raises(ConfigError, match=r"classes other than a sample's own, and labels are torch\.float32"):
        term(z, s, torch.tensor([[0.2, 0.3, 0.5]]))


@pytest.mark.parametrize("classes", ["not_true", "all"])
@pytest.mark.parametrize("objective", [Objective(), Objective(class_weights={"a": 100.0, "b": 1.0, "c": 1.0})])
def test_a_place_that_a_loss_leaves_out_is_held_to_nothing(classes, objective):
    term = distillation.term("cross_entropy", Distillation(weight=1, classes=classes), objective, ["a", "b", "c"])
    z, s, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.tensor([[-100, 0, 3, 1], [2, -1, 0, -100]])
    found = term(z, s, y)
    assert (found[(y < 0) | (y > 2)] == 0).all()
    assert (found[(y >= 0) & (y <= 2)] > 0).all()


def test_all_takes_shares_of_classes_for_labels():
    term = distillation.term("cross_entropy", Distillation(weight=1, classes="all"))
    assert term(torch.randn(2, 3), torch.randn(2, 3), torch.full((2, 3), 1 / 3)).shape == (2,)


def test_each_position_of_a_map_has_its_own():
    z, s, y = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3), torch.randint(4, (2, 3, 3))
    term = distillation.term("cross_entropy", FIRM)
    flat = term(z.movedim(1, 3).reshape(-1, 4), s.movedim(1, 3).reshape(-1, 4), y.reshape(-1))
    assert torch.allclose(term(z, s, y).reshape(-1), flat)


def test_labels_and_numbers_have_soft_targets_of_their_own_kind():
    z, s = torch.tensor([[0.5, -1.0]]), torch.tensor([[2.0, 0.0]])
    found = distillation.term("binary_cross_entropy", Distillation(weight=1))(z, s, torch.tensor([[1.0, 0.0]]))
    p = [[1 / (1 + math.exp(-v)) for v in row.tolist()[0]] for row in (s, z)]
    by_hand = [(2 * p[0][0] - 1) * kl([p[0][0], 1 - p[0][0]], [p[1][0], 1 - p[1][0]]), 0.0]  # right, and at chance
    assert found.tolist()[0] == pytest.approx(by_hand, rel=1e-5)
    assert distillation.term("mse", Distillation(weight=3))(z, s, z).tolist() == [[6.75, 3.0]]


def test_a_weight_of_0_is_no_term_and_a_loss_of_ones_own_needs_one_of_ones_own():
    assert distillation.term("own", Distillation(weight=0)) is None
    with pytest.raises(ConfigError, match=r'\[distillation\] in the plan cannot tell what loss = "own" compares'):
        distillation.term("own", FIRM)


@pytest.mark.parametrize("line", ["weight = -1", "temperature = 0", "classes = 'true'", "beta = 1"])
def test_values_that_cannot_be_are_refused_by_name(line):
    with pytest.raises(ConfigError, match=f"distillation.{line.split()[0]}: "):
        plan.parse(f"{HEAD}[distillation]\n{line}\n".encode())


@pytest.mark.parametrize(
    ("loss", "line", "told"),
    [
        ("mse", "temperature = 2.0", "temperature divides logits, and mse has none"),
        ("binary_cross_entropy", "classes = 'all'", 'classes is for loss = "cross_entropy"'),
    ],
)
def test_what_a_loss_has_no_use_for_is_refused(loss, line, told):
    with pytest.raises(ConfigError, match=told):
        plan.parse(f"loss = '{loss}'\n{HEAD}[distillation]\n{line}\n".encode())


def test_a_model_with_several_outputs_is_told_that_they_cannot_be_compared():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(4, 3)

        def forward(self, x):
            return self.net(x), x

    made = supervised(
        Two,
        TensorDataset(torch.randn(6, 4), torch.randint(3, (6,))),
        lambda outputs, y: nn.functional.cross_entropy(outputs[0], y, reduction="none"),
        optimisers("sgd", {"lr": 0.1}),
        distillation=lambda _z, _s, _y: torch.zeros(1),
    )
    with pytest.raises(ConfigError, match="gives a tuple, and distillation compares one tensor with another"):
        begun(made).trainer.step()


def test_a_step_is_one_on_the_loss_and_the_term_together():
    made = task(batch_size=35)
    run = begun(made)
    by_hand = made.new_model()
    by_hand.load_state_dict(run.snapshot())
    start = by_hand.eval()(images().samples_at(torch.arange(35))[0]).detach()
    adam = optimisers("adam", {"lr": 0.003})(by_hand.parameters())
    x, y = images().samples_at(torch.arange(35))
    for step in range(3):
        told, z = run.trainer.step(), by_hand(x)
        plain = nn.functional.cross_entropy(z, y)
        assert told == pytest.approx(plain.item(), rel=1e-4), step  # people see the loss itself
        held = distillation.cross_entropy(z, start, y, 1.0, not_true=True).mean()
        adam.zero_grad()
        torch.autograd.backward(plain + 2 * held)
        adam.step()
    assert all(torch.allclose(by_hand.state_dict()[n], v, atol=1e-4) for n, v in run.snapshot().items())


def test_distillation_changes_the_steps_and_never_what_is_measured():
    held, free = task(), task(Distillation(weight=0))
    begun_at = state.fresh(held)
    assert not same(play(held)[10], play(free)[10])
    assert measure.measure(held, held.new_model(), begun_at) == measure.measure(free, free.new_model(), begun_at)
    assert check_task(held) == []


class Noisy(torch.utils.data.Dataset):
    """Draws at random each time it is asked, as a training set with transforms does."""

    def __len__(self):
        return 35

    def __getitem__(self, index):
        x, y = images()[index]
        return x + torch.randn(()), y


def test_a_data_set_that_draws_at_random_goes_on_bit_for_bit_too():
    def made():
        term = distillation.term("cross_entropy", FIRM)
        loss, adam = losses("cross_entropy"), optimisers("adam", {"lr": 0.003})
        return supervised(
            lambda: small_cnn(1, 8, 3), Noisy(), loss, adam, batch_size=8, validation=images(), distillation=term
        )

    whole, run = play(made(), 6), begun(made())
    for _ in trajectory.sample(run, 3, 1, lambda _step, _loss: None):
        pass
    saved = run.state_dict()
    rest = begun(made())
    rest.load_state_dict(saved)
    assert same(dict(trajectory.sample(rest, 6, 1, lambda _step, _loss: None))[6], whole[6])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_model_that_cannot_be_deep_copied_is_held_too():
    made = supervised(
        lambda: nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, 3))),
        images(),
        losses("cross_entropy"),
        optimisers("sgd", {"lr": 0.1}),
        distillation=distillation.term("cross_entropy", FIRM),
    )
    run = begun(made)
    run.trainer.step()
    assert run.trainer.step() > 0


@pytest.mark.parametrize("training", [Training(), MOVING])
@pytest.mark.parametrize("cut", [3, 7])  # within the first epoch, where some answers are there, and within the second
def test_a_run_goes_on_bit_for_bit(training, cut):
    made = task(training=training)
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


def test_answers_are_those_of_the_start_whether_kept_or_not(monkeypatch):
    order = torch.randperm(35, generator=torch.Generator().manual_seed(1))
    net = small_cnn(1, 8, 3).eval()
    asked = []

    def start():
        def forward(twin):
            return lambda x: asked.append(len(x)) or twin(x)

        return distillation.Start(net, forward, images(), torch.device("cpu"), order)

    x, _ = images().samples_at(torch.arange(35))
    plain, kept = net(x).detach(), start()
    for rows in (order[:8], order[8:16], torch.arange(35), order[:8]):
        assert torch.allclose(kept.of(rows, x[rows], changed=False), plain[rows], atol=1e-6)
    assert sum(asked) == 1 + 35  # one to see its shape, then each once
    assert torch.allclose(kept.of(order[:2], 2 * x[:2], changed=True), net(2 * x[:2]).detach(), atol=1e-6)
    monkeypatch.setattr(distillation, "KEPT_BYTES", 0)
    assert torch.allclose(start().of(order[:8], x[order[:8]], changed=False), plain[order[:8]], atol=1e-6)


def test_the_plan_reaches_the_built_in_task_and_a_users_own(tmp_path):
    site = make_world(tmp_path).site("learner")
    held = site.plan.model_copy(update={"distillation": FIRM})
    made = load.task(site.folder, site.config, held)
    free = load.task(site.folder, site.config, site.plan.model_copy(update={"distillation": Distillation(weight=0)}))
    assert not same(play(made, 2)[2], play(free, 2)[2])
    settings = load.Settings(held, load.Own(), site.folder, torch.device("cpu"))
    assert settings.distillation is not None


def test_rows_of_numbers_are_held_too():
    data = TensorDataset(torch.randn(20, 4), torch.randn(20))
    term = distillation.term("mse", Distillation(weight=1e6))
    made = supervised(
        lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)),
        data,
        losses("mse"),
        optimisers("sgd", {"lr": 1e-8}),
        distillation=term,
    )
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(play(made)[0].values(), play(made)[10].values(), strict=True))
