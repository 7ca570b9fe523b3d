"""The plan's [objective]: losses weighed as torch weighs them, and refusals of what cannot be."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.utils.data import TensorDataset

from alx import plan, turns
from alx.errors import ConfigError
from alx.learning import measure, select, state, trajectory
from alx.objective import Objective
from alx.site.site_file import Data, SiteFile
from alx.tasks import check_task, distillation, load, supervised
from alx.tasks.models import mlp
from alx.tasks.objective import NAMED, losses, optimisers
from alx.training import Distillation
from alx.turns.bridge import from_flat
from tests.conftest import PLAN, make_world, pair_world
from tests.forge import refused
from tests.tasks.test_training_settings import HEAD

WEIGHTS = {"0": 1.0, "1": 5.0, "2": 0.25}
NAMES = 'columns = { label = "y", classes = ["good", "bad"], numeric = { a = {} } }\n'


def drawn(count=30, classes=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, classes, generator=generator), torch.randint(classes, (count,), generator=generator)


def task(objective, data=None, **more):
    x, y = drawn()
    data = TensorDataset(x, y) if data is None else data
    loss, sgd = losses("cross_entropy", objective), optimisers("sgd", {"lr": 0.1})
    return supervised(lambda: mlp(3, 3, 8), data, loss, sgd, **({"batch_size": 8} | more))


# --- the loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 5)])
def test_weighed_by_class_it_is_torchs_cross_entropy_and_not_divided_by_the_weights(smoothing, shape):
    z, y = torch.randn(shape), torch.randint(3, (shape[0], *shape[2:]))
    mine = losses("cross_entropy", Objective(class_weights=WEIGHTS, label_smoothing=smoothing))
    theirs = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.25]), reduction="none", label_smoothing=smoothing)
    assert torch.equal(mine(z, y), theirs(z, y))
    if not smoothing:
        unweighed = nn.functional.cross_entropy(z, y, reduction="none")
        assert torch.allclose(mine(z, y), unweighed * torch.tensor([1.0, 5.0, 0.25])[y])


def test_counts_that_were_agreed_give_scikit_learns_balanced_weights_in_the_plans_order():
    y = np.repeat(["no", "yes", "maybe"], [3596, 644, 60])
    expected = compute_class_weight("balanced", classes=np.array(["yes", "no", "maybe"]), y=y)
    agreed = Objective(class_counts={"no": 3596, "yes": 644, "maybe": 60})
    assert agreed.weights(["yes", "no", "maybe"]) == pytest.approx(expected)


def test_weights_by_number_go_by_number_however_they_are_written():
    assert Objective(class_weights={"2": 3.0, "0": 1.0, "1": 2.0}).weights([]) == (1.0, 2.0, 3.0)
    assert Objective().weights(["a", "b"]) is None


@pytest.mark.parametrize(("weight", "shape"), [([3.0], (5, 4)), ([3.0, 1.0, 0.5, 2.0], (5, 4)), ([3.0], (5,))])
def test_labels_of_1_weigh_as_torchs_pos_weight_says(weight, shape):
    z, y = torch.randn(shape), torch.randint(2, shape)
    mine = losses("binary_cross_entropy", Objective(pos_weight=weight))(z, y)
    theirs = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight), reduction="none")
    assert torch.allclose(mine, theirs(z, y.float()).reshape(5, -1).mean(1))


def test_focal_loss_is_what_its_authors_wrote_and_its_positives_weigh_as_they_should():
    z, y = torch.tensor([1.5, -0.5]), torch.tensor([1, 0])
    p = [1 / (1 + math.exp(-v)) for v in z.tolist()]
    by_hand = [-((1 - p[0]) ** 2) * math.log(p[0]), -(p[1] ** 2) * math.log(1 - p[1])]
    assert losses("binary_cross_entropy", Objective(gamma=2.0))(z, y).tolist() == pytest.approx(by_hand, rel=1e-5)
    weighed = losses("binary_cross_entropy", Objective(gamma=2.0, pos_weight=[4.0]))(z, y).tolist()
    assert weighed == pytest.approx([4 * by_hand[0], by_hand[1]], rel=1e-5)


def test_focal_loss_has_a_gradient_however_sure_the_model_is():
    z = torch.tensor([20.0, -20.0, 1e4], requires_grad=True)
    losses("binary_cross_entropy", Objective(gamma=1.0))(z, torch.tensor([1, 0, 1])).sum().backward()
    assert torch.isfinite(z.grad).all()


def test_what_was_first_asked_for_in_inference_mode_is_trained_with_afterwards():
    z, y = drawn()
    loss = losses("cross_entropy", Objective(class_weights={"0": 1.25, "1": 2.5, "2": 3.75}))
    with torch.inference_mode():
        loss(z, y)
    z = z.clone().requires_grad_()
    loss(z, y).sum().backward()
    assert torch.isfinite(z.grad).all()


def test_without_an_objective_the_loss_is_the_plain_one():
    for name, named in NAMED.items():
        assert losses(name, Objective(), ["a", "b"]) is named.loss
    assert losses("cross_entropy", Objective(costs={"0": {"1": 1.0}, "1": {"0": 5.0}})) is NAMED["cross_entropy"].loss


# --- measured, summed, selected


@pytest.mark.parametrize("objective", [Objective(class_weights=WEIGHTS), Objective(label_smoothing=0.2)])
def test_the_measured_sum_is_the_sum_of_each_samples_weighed_loss_over_all_samples(objective):
    made, (x, y) = task(objective), drawn()
    assert check_task(made) == []
    start = state.fresh(made)
    model = measure.loaded(made, made.new_model(), start)
    with torch.no_grad():
        each = losses("cross_entropy", objective)(model(x), y).double()
        assert made.sample_losses.of([model], torch.arange(30))[0].tolist() == each.tolist()
    found = measure.measure(made, model, start)
    assert (found.total, found.count) == (math.fsum(each.tolist()), 30)
    assert bool((each >= 0).all())


def test_sums_of_two_sites_are_the_sum_over_both():
    """What would be lost if each divided by its own weights, as the mean of torch's CrossEntropyLoss does."""
    (x, y), objective = drawn(), Objective(class_weights=WEIGHTS)
    parts = [task(objective, TensorDataset(x[rows], y[rows])) for rows in (slice(0, 11), slice(11, 30))]
    pooled = task(objective)
    model = pooled.new_model().eval()
    with torch.no_grad():
        assert sum(part.measure(model).total for part in parts) == pytest.approx(pooled.measure(model).total, rel=1e-12)


def test_a_race_over_weighed_losses_chooses_what_a_scan_chooses():
    (x, y), objective = drawn(2000), Objective(class_weights=WEIGHTS)
    made = task(objective, TensorDataset(x, y))
    trajectory.seed_all(0)
    run = trajectory.Run(made, state.fresh(made), 5)
    states = [s for _, s in trajectory.sample(run, 40, 5, lambda _step, _loss: None)]
    models = [measure.loaded(made, made.new_model(), s) for s in states]

    def own(candidates, rows):
        with torch.no_grad():
            return made.sample_losses.of([models[c] for c in candidates], torch.from_numpy(rows)).numpy()

    signed = [100.0 - i for i in range(len(states))]
    raced, scanned = (select.race(signed, 2000, own, 4000, together=4, full=full) for full in (False, True))
    assert (raced.index, raced.global_loss) == (scanned.index, scanned.global_loss)
    assert raced.evaluations < scanned.evaluations


def test_a_weight_of_3_is_worth_three_samples_with_distillation_too():
    y, held = drawn()[1], Distillation(weight=0.7, classes="all")
    objective = Objective(class_weights={"0": 1.0, "1": 3.0, "2": 1.0})
    repeated = torch.cat([torch.arange(30), *[(y == 1).nonzero()[:, 0]] * 2])
    z, s = torch.randn(30, 3, requires_grad=True), torch.randn(30, 3)
    for wanted in (held, Distillation(weight=0.7)):
        grads = []
        for rows, weighed in ((torch.arange(30), objective), (repeated, Objective())):
            term = distillation.term("cross_entropy", wanted, weighed)
            whole = losses("cross_entropy", weighed)(z[rows], y[rows]) + term(z[rows], s[rows], y[rows])
            grads.append(torch.autograd.grad(whole.sum(), z)[0])
        assert torch.allclose(*grads, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 2), (6, 1), (6,)])
def test_a_positive_of_weight_3_is_held_three_times_as_much(shape):
    z, s, y = torch.randn(shape), torch.randn(shape), torch.randint(2, shape)
    plain, weighed = (
        distillation.term("binary_cross_entropy", Distillation(weight=1.0), Objective(pos_weight=p)) for p in ([], [3.0])
    )
    assert torch.allclose(weighed(z, s, y), plain(z, s, y) * torch.where(y == 1, 3.0, 1.0))


def test_labels_that_a_loss_leaves_out_have_no_weight_to_look_up():
    z, s = torch.randn(2, 3), torch.randn(2, 3)
    term = distillation.term("cross_entropy", Distillation(weight=1.0), Objective(class_weights=WEIGHTS))
    assert term(z, s, torch.tensor([-100, 1])).tolist()[0] == 0.0


# --- the plan


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("class_weights = { good = 1.0, bad = -5.0 }", r"objective\.class_weights\.bad: .* \(got -5\.0\)"),
        ("class_weights = { good = 0.0, bad = 5.0 }", r"objective\.class_weights\.good: "),
        ("class_weights = { good = 0, bad = 0 }", r"objective\.class_weights\.good: "),
        ("class_weights = { good = nan, bad = 5.0 }", r"objective\.class_weights\.good: .*nan"),
        ("class_weights = { good = inf, bad = 5.0 }", r"objective\.class_weights\.good: .*inf"),
        ("class_weights = { good = 1.0 }", r"class_weights has no class 'bad': expected good, bad"),
        ("class_weights = { good = 1.0, bad = 1.0, worse = 2.0 }", r"class_weights has 'worse': expected good, bad"),
        ("class_weights = [1.0, 5.0]", r"objective\.class_weights: "),
        ("class_counts = { good = 700, bad = 0 }", r"objective\.class_counts\.bad: "),
        ("class_counts = { good = 700, bad = 300.5 }", r"objective\.class_counts\.bad: "),
        ("class_counts = { good = 1, bad = 1 }\nclass_weights = { good = 1, bad = 1 }", "leave one of the two out"),
        ("costs = { good = { bad = 1.0 } }", r"costs has no class 'bad'"),
        ("costs = { good = { bad = 1.0 }, bad = { good = -5.0 } }", r"objective\.costs\.bad\.good: "),
        ("costs = { good = { bad = nan }, bad = { good = 5.0 } }", r"objective\.costs\.good\.bad: "),
        ("costs = { good = { bad = 1.0, good = 2.0 }, bad = { good = 5.0 } }", r"costs\.good has 'good': expected bad"),
        ("costs = { good = { bad = 1.0 }, bad = {} }", r"'bad' costs nothing whatever is answered"),
        ("costs = { good = { bad = 0 }, bad = { good = 5.0 } }", r"'good' costs nothing whatever is answered"),
        ("label_smoothing = 1.0", r"objective\.label_smoothing: "),
        ("label_smoothing = -0.1", r"objective\.label_smoothing: "),
        ("pos_weight = [2.0]", r'pos_weight is for loss = "binary_cross_entropy", and the plan has "cross_entropy"'),
        ("gamma = 2.0", r'gamma is for loss = "binary_cross_entropy"'),
        ("focal = 2.0", r"objective\.focal: "),
    ],
)
def test_weights_and_costs_that_cannot_be_are_refused_by_name(lines, told):
    with pytest.raises(ConfigError, match=told):
        plan.parse(f"{NAMES}{HEAD}[objective]\n{lines}\n".encode())


@pytest.mark.parametrize(
    ("loss", "lines", "told"),
    [
        ("mse", "class_weights = { 0 = 1.0 }", 'class_weights is for loss = "cross_entropy", and the plan has "mse"'),
        ("mse", "label_smoothing = 0.1", "label_smoothing is for"),
        ("own", "costs = { 0 = { 1 = 1.0 }, 1 = { 0 = 1.0 } }", "costs is for"),
        ("binary_cross_entropy", "class_counts = { 0 = 1, 1 = 2 }", "class_counts is for"),
        ("binary_cross_entropy", "pos_weight = [-1.0]", r"objective\.pos_weight\.0: "),
        ("binary_cross_entropy", "gamma = 0.5", r"objective\.gamma: "),
        ("cross_entropy", "class_weights = { 0 = 1.0, 2 = 1.0 }", "class_weights has no class '1': expected 0, 1"),
    ],
)
def test_what_a_loss_has_no_use_for_and_numbers_that_skip_one_are_refused(loss, lines, told):
    with pytest.raises(ConfigError, match=told):
        plan.parse(f'loss = "{loss}"\n{HEAD}[objective]\n{lines}\n'.encode())


@pytest.mark.parametrize("line", ["class_weights = { 0 = 1.0, 1 = 2.0 }", "costs = { 0 = { 1 = 1.0 }, 1 = { 0 = 1.0 } }"])
def test_balanced_and_what_counts_on_classes_as_they_are_exclude_each_other(line):
    with pytest.raises(ConfigError, match="leave one of the two out"):
        plan.parse(f"{HEAD}[training]\nbalanced = true\n[objective]\n{line}\n".encode())
    with pytest.raises(ConfigError, match="balanced draws by class, and mse has none"):
        plan.parse(f'loss = "mse"\n{HEAD}[training]\nbalanced = true\n'.encode())


def test_german_credits_costs_are_three_lines_and_are_read_as_they_were_written():
    lines = "[objective.costs]\ngood = { bad = 1.0 }\nbad = { good = 5.0 }\n"
    read = plan.parse(f"{NAMES}{HEAD}{lines}".encode()).plan
    assert read.objective.cost_rows(read.class_names) == ((0.0, 1.0), (5.0, 0.0))
    assert plan.parse(plan.written(read)).plan == read
    other = plan.parse(f"{NAMES}{HEAD}{lines.replace('5.0', '4.0')}".encode()).plan
    assert plan.differences(read, other) == ["objective.costs.bad.good: here 5.0, there 4.0"]


# --- a site


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("class_weights = { 0 = 1.0, 1 = 5.0 }", "class_weights in the plan has 2 classes, and the model tells 3 apart"),
        ("class_counts = { 0 = 9, 1 = 9, 2 = 9, 3 = 9 }", "class_counts in the plan has 4 classes"),
        ("costs = { 0 = { 1 = 1.0 }, 1 = { 0 = 5.0 } }", "costs in the plan has 2 classes"),
    ],
)
def test_check_finds_weights_of_other_classes_than_the_models(tmp_path, capsys, lines, told):
    world = make_world(tmp_path / "w", f"{PLAN}\n[objective]\n{lines}\n")
    refused(capsys, ["check", "--site", str(world.folder("learner"))], ConfigError, told, hint="look at [model]")


def test_a_table_s_classes_weigh_by_their_names_in_whatever_order_they_are_written(tmp_path):
    rows = ["a,y", "0.5,bad", "1.0,good", "-2.0,good", "3.0,bad"]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    text = f"{NAMES}{HEAD}[objective]\nclass_weights = {{ bad = 5.0, good = 1.0 }}\n"
    model = '[model]\nsource = "alx.tasks.models:mlp"\narguments = { inputs = 1, classes = 2, hidden = 4 }\n'
    config = SiteFile(role="learner", data=Data(kind="csv", path="rows.csv"))
    made = load.task(tmp_path, config, plan.parse((text + model).encode()).plan)
    net = measure.loaded(made, made.new_model(), state.fresh(made))
    with torch.no_grad():
        log = net(torch.tensor([[0.5], [1.0], [-2.0], [3.0]])).log_softmax(1).tolist()
        by_hand = -(5 * log[0][1] + log[1][0] + log[2][0] + 5 * log[3][1])
        assert made.measure(net).total == pytest.approx(by_hand, rel=1e-6)


def test_a_number_for_each_label_or_one_for_all(tmp_path):
    site = make_world(tmp_path / "w").site("learner")
    data = np.load(tmp_path / "w" / "learner.npz")
    np.savez(tmp_path / "w" / "learner.npz", train_images=data["train_images"], train_labels=np.eye(3)[data["train_labels"]])
    for numbers, fits in (([2.0], True), ([1.0, 2.0, 3.0], True), ([1.0, 2.0], False)):
        objective = Objective(pos_weight=numbers)
        changed = site.plan.model_copy(
            update={"loss": "binary_cross_entropy", "objective": objective, "distillation": Distillation(weight=0.5)}
        )
        if fits:
            assert check_task(load.task(site.folder, site.config, changed)) == []
        else:
            with pytest.raises(ConfigError, match="pos_weight in the plan has 2 numbers, and the model gives 3"):
                load.task(site.folder, site.config, changed)


@pytest.mark.parametrize(
    "lines",
    ["class_weights = { 0 = 1.0, 1 = 5.0, 2 = 2.0 }", "label_smoothing = 0.1", "class_counts = { 0 = 38, 1 = 31, 2 = 31 }"],
)
def test_two_sites_select_by_the_weighed_loss_and_it_never_rises(tmp_path, lines):
    """Against torch alone: the sum over both files, weighed, of the model that was chosen."""
    world = pair_world(make_world(tmp_path / "w", f"{PLAN}\n[objective]\n{lines}\n"))
    chosen = []
    for _ in range(2):
        for role, other in (("learner", "provider"), ("provider", "learner")):
            assert world.take(other, world.turn(role)) == 0
            chosen.append(world.state(other).position.selected[-1])
    totals = [body.global_loss for body in chosen]
    assert totals == sorted(totals, reverse=True)
    assert not any(body.flags.loss_rose for body in chosen)
    assert chosen[-1].samples == 100
    agreed = world.site("learner").plan
    each = nn.CrossEntropyLoss(
        weight=None if (w := agreed.objective.weights([])) is None else torch.tensor(w),
        reduction="none",
        label_smoothing=agreed.objective.label_smoothing,
    )
    assert _best(world, each) == pytest.approx(totals[-1], rel=1e-5)


def _best(world, each):
    chosen, net = turns.latest(world.state("learner")), mlp(4, 3, 8)
    net.load_state_dict(from_flat(chosen.state, chosen.layout))
    data = [np.load(world.root / f"{role}.npz") for role in ("learner", "provider")]
    with torch.no_grad():
        parts = [each(net(torch.from_numpy(d["train_images"])), torch.from_numpy(d["train_labels"])) for d in data]
    return float(sum(part.double().sum() for part in parts))


OWN = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from alx.tasks import supervised


def make_task(settings):
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, (x[:, 0] > 0).long())
    return supervised(lambda: nn.Linear(4, 2), data, settings.loss, settings.optimiser, distillation=settings.distillation)
"""


def test_a_task_of_ones_own_takes_the_plans_weighed_loss(tmp_path):
    site = make_world(tmp_path / "w").site("learner")
    (site.folder / "task.py").write_text(OWN)
    config = site.config.model_copy(update={"task": "task.py", "data": None})
    totals = []
    for weight in (1.0, 2.0):
        objective = Objective(class_weights={"0": weight, "1": weight})
        made = load.task(site.folder, config, site.plan.model_copy(update={"objective": objective}))
        trajectory.seed_all(0)
        totals.append(measure.measure(made, made.new_model(), state.fresh(made)).total)
    assert totals[1] == pytest.approx(2 * totals[0])
    with pytest.raises(ConfigError, match='loss = "own" in the plan names none'):
        load.task(site.folder, config, site.plan.model_copy(update={"loss": "own", "distillation": Distillation(weight=0)}))
