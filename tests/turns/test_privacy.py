"""[privacy]: noise by arithmetic, an accountant that Opacus agrees with, and a budget that nothing refills."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import torch
from opacus.accountants import RDPAccountant
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm
from torch import nn
from torch.utils.data import TensorDataset

from alx.cli.main import run
from alx.errors import BudgetError, ConfigError, ForkError, PeerError
from alx.learning import select, state, trajectory
from alx.learning.noise import Guard, Noise
from alx.plan import parse
from alx.privacy import Privacy
from alx.report import privacy
from alx.site import budget as budgets
from alx.site.entries import Reset, Restored, Spent
from alx.tasks import accountant, private
from alx.tasks.accountant import ORDERS, Release
from alx.tasks.clipped import clipped, guarded
from alx.tasks.data.samples import Tensors
from alx.tasks.supervised import supervised
from alx.turns import budget, train
from tests import several
from tests.conftest import PRIVATE, World, make_world, pair_world
from tests.forge import Forge, command, refused
from tests.upkeep.test_backup import back_up, restoring
from tests.upkeep.test_recovery import lose, resetting

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def _stages(tmp_path_factory):
    """An exchange at its stages, played once: what was done last has its name."""
    root = tmp_path_factory.mktemp("private")
    world = pair_world(make_world(root / "now", PRIVATE))

    def keep(name):
        shutil.copytree(world.root, root / name)

    keep("paired")
    bundle = world.turn("learner")
    keep("sent")
    assert world.take("provider", bundle) == 0
    bundle = world.turn("provider")
    keep("answered")
    assert world.take("learner", bundle) == 0
    world.turn("learner")
    keep("second")
    return root


@pytest.fixture
def stage(_stages, tmp_path):
    """A private copy of the exchange at one stage."""
    return lambda name: World(shutil.copytree(_stages / name, tmp_path / name))


def taken(world, role="learner"):
    return budgets.of(e.record for e in world.state(role).entries).taken


# The accountant


def test_opacus_own_accountant_finds_the_same_epsilon_step_by_step():
    theirs = RDPAccountant()
    for _ in range(500):
        theirs.step(noise_multiplier=1.2, sample_rate=64 / 704)
    assert accountant.epsilon([Release(1.2, 64 / 704, 500)], 1e-5) == pytest.approx(theirs.get_epsilon(1e-5), rel=1e-12)


def test_sums_alone_have_the_epsilon_of_renyis_formula_and_no_less_than_the_gaussian_mechanisms_exact_one():
    noise, times, delta = 15.0, 15, 1e-5
    found = accountant.epsilon([Release(noise, 1.0, times)], delta)
    # Canonne, Kamath and Steinke (2020), proposition 12, with the order-a divergence a k / (2 z^2)
    by_hand = min(a * times / (2 * noise**2) + math.log1p(-1 / a) - math.log(delta * a) / (a - 1) for a in ORDERS)
    assert found == pytest.approx(by_hand, rel=1e-9)
    # Balle and Wang (2018), theorem 8: k Gaussian mechanisms are one of noise z / sqrt(k)
    mu = times**0.5 / noise
    exact = norm.cdf(mu / 2 - found / mu) - math.exp(found) * norm.cdf(-mu / 2 - found / mu)
    assert exact <= delta


def test_a_noised_choice_tells_no_more_than_the_accountant_says_at_any_order():
    """The exponential mechanism, over losses that a sample more raises by 0 to the limit, against a Gaussian one."""
    rng, limit, noise = np.random.default_rng(0), 1.5, 3.0
    scale = limit * noise / 2  # as Share.head_starts has it
    for _ in range(20):
        losses = rng.uniform(0, 30, 4)
        more = losses + rng.choice([0.0, limit], 4)
        p, q = (log_softmax(-each / scale) for each in (losses, more))
        for a in ORDERS:
            for x, y in ((p, q), (q, p)):
                assert logsumexp(a * x + (1 - a) * y) / (a - 1) <= a / (2 * noise**2) * (1 + 1e-9)


def test_the_plans_turns_come_to_the_budget_and_not_beyond_it():
    turn = accountant.planned(Privacy(epsilon=3.0, delta=1e-4, spare=1), 6, 0.05, 100)
    all_of_it = accountant.epsilon([each._replace(times=6 * each.times) for each in turn.releases], 1e-4)
    assert 0.98 * 3 < all_of_it <= 3
    sums = accountant.epsilon([Release(turn.loss_noise, 1.0, 6 * 3)], 1e-4)
    assert 0.3 * 3 < sums < 0.6 * 3  # a fifth of the budget in noise squared is a little less than its root in epsilon


def test_a_budget_that_no_noise_keeps_to_is_refused():
    with pytest.raises(BudgetError, match="no noise"):
        accountant.planned(Privacy(epsilon=1e-6, delta=1e-9), 5, 1.0, 100)


# Noise and clipping


def task_of(model, x, y, **more):
    made = supervised(
        model,
        TensorDataset(x, y),
        nn.CrossEntropyLoss(reduction="none"),
        lambda p: torch.optim.SGD(p, lr=1.0),
        batch_size=8,
        **more,
    )
    return clipped(made, 1.1)


def samples(count=40):
    torch.manual_seed(0)
    return 3 * torch.randn(count, 4), torch.randint(0, 3, (count,))


def moved(task, guard, steps=1):
    """How far the weights went, flat, in the parameters' order."""
    run = trajectory.Run(guarded(task, guard), state.fresh(task), 5, steps)
    before = [p.detach().clone() for p in run.model.parameters()]
    for _ in range(steps):
        run.trainer.step()
    pairs = zip(run.model.parameters(), before, strict=True)
    return torch.cat([(p.detach() - b).flatten() for p, b in pairs]).double()


def test_a_step_is_the_mean_of_clipped_gradients_of_single_samples():
    """Against autograd, a sample at a time; every sample drawn, no noise."""
    x, y = samples()
    task, clip = task_of(lambda: nn.Linear(4, 3), x, y), 0.7
    torch.manual_seed(1)
    net = nn.Linear(4, 3)
    torch.manual_seed(1)
    found = moved(task, Guard(Noise(KEY), 0.0, 1.0, clip))
    total = torch.zeros(15, dtype=torch.float64)
    for i in range(len(x)):
        loss = nn.functional.cross_entropy(net(x[i : i + 1]), y[i : i + 1])
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))]).double()
        total += gradient * min(1.0, clip / float(gradient.norm()))
    assert torch.allclose(found, -total / len(x), atol=1e-5)


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e38, 1e20])
def test_a_sample_that_is_not_finite_or_huge_moves_the_model_by_no_more_than_the_clip_and_ends_no_turn(number):
    x, y = samples()
    x[7], y[7] = number, 2
    guard = Guard(Noise(KEY), 0.0, 1.0, 1.0)

    def model():
        net = nn.Sequential(nn.Linear(4, 3), nn.Identity())
        nn.init.zeros_(net[0].weight)
        return net

    torch.manual_seed(1)
    found = moved(task_of(model, x, y), guard)
    torch.manual_seed(1)
    without = moved(task_of(model, torch.cat([x[:7], x[8:]]), torch.cat([y[:7], y[8:]])), guard) * 39 / 40
    assert float((found - without).norm()) <= 1.0 / 40 + 1e-6
    run = trajectory.Run(guarded(task_of(model, x, y), guard), state.fresh(task_of(model, x, y)), 5, 3)
    assert [step for step, _ in trajectory.sample(run, 3, 1, lambda *_: None)] == [0, 1, 2, 3]


def test_the_noise_of_a_step_has_the_deviation_that_was_accounted_for():
    """An empty batch leaves the noise alone: multiplier times clip, over the samples that a batch has on the average."""
    x, y = samples()
    task = task_of(lambda: nn.Linear(4, 500), x, y)
    guard = Guard(Noise(KEY), 1.7, 1e-9, 0.5)
    each = moved(task, guard) * (1e-9 * len(x)) / (1.7 * 0.5)
    assert float(each.std()) == pytest.approx(1.0, abs=0.05)
    assert float(each.mean()) == pytest.approx(0.0, abs=0.05)
    drawn = torch.from_numpy(-Noise(KEY).normal(private.STEP, 0, 2500))
    assert torch.allclose(each, drawn, rtol=1e-5, atol=1e-5)


def test_each_sample_is_drawn_by_itself_and_batches_vary():
    counts = [(Noise(KEY).uniform(private.BATCH, step, 1000) < 0.1).sum() for step in range(200)]
    assert np.mean(counts) == pytest.approx(100, abs=3)
    assert np.std(counts) == pytest.approx(math.sqrt(1000 * 0.1 * 0.9), rel=0.2)


class Watched:
    """Samples that say what they are told of, and asked for."""

    def __init__(self, x, y):
        self._tensors, self.told, self.asked = Tensors(x, y), [], []
        self.home, self.nbytes = self._tensors.home, 0

    def __len__(self):
        return len(self._tensors)

    def to(self, _device):
        return self

    def samples_at(self, indices):
        self.asked.append(indices.tolist())
        return self._tensors.samples_at(indices)

    def ahead(self, batches):
        self.told += [each.tolist() for each in batches]


def test_what_is_read_ahead_is_the_next_batch_whole_and_nothing_beyond_the_last_step():
    """Batches of 8 on the average, up to 14: read in eights, and then whole, each would be decoded twice."""
    torch.manual_seed(0)
    data = Watched(*samples())
    task = supervised(
        lambda: nn.Linear(4, 3),
        data,
        nn.CrossEntropyLoss(reduction="none"),
        lambda p: torch.optim.SGD(p, lr=1.0),
        batch_size=8,
    )
    run = trajectory.Run(guarded(clipped(task, 1.1), Guard(Noise(KEY), 1.0, 0.2, 1.0)), state.fresh(task), 5, 12)
    data.asked.clear()
    for _ in range(12):
        run.trainer.step()
    assert max(map(len, data.asked)) > 8
    assert data.told == data.asked[1:]


def test_numbers_are_those_of_their_distributions_and_the_same_again():
    noise = Noise(KEY)
    normal, gumbel = noise.normal("a", 0, 100_000), noise.gumbel("a", 1, 100_000)
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.01))
    assert (normal**4).mean() == pytest.approx(3, abs=0.1)
    assert (gumbel.mean(), gumbel.std()) == (pytest.approx(0.5772, abs=0.02), pytest.approx(math.pi / 6**0.5, abs=0.02))
    assert (Noise(KEY).normal("a", 0, 9) == normal[:9]).sum() < 9  # another count is another pairing, never a part of it
    assert (Noise(KEY).uniform("a", 3, 9) == noise.uniform("a", 3, 9)).all()


def test_a_loss_that_is_no_number_counts_as_the_limit():
    x, y = samples()
    task, model = task_of(lambda: nn.Linear(4, 3), x, y), nn.Linear(4, 3)
    with torch.no_grad():
        model.weight.fill_(math.nan)
    assert task.measure(model).total == pytest.approx(40 * 1.1)
    with pytest.raises(ConfigError, match="without noise"):
        task.trainer(model, 0)


# Models


class Shortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        y = self.a(x)
        y += x
        return self.b(y)


class Keeps(nn.Module):
    """Has a running mean of its own, and uses it nowhere."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4), persistent=False)
        self.answers = nn.Linear(4, 3)

    def forward(self, x):
        if self.training:
            self.mean = self.mean.lerp(x.detach().mean(0), 0.25)
        return self.answers(x)


class Remembers(Keeps):
    """Has it in no buffer, and uses it in evaluation."""

    def forward(self, x):
        if self.training:
            self.last = x.detach().mean(0)
        return self.answers(x if self.training else x - getattr(self, "last", 0))


class Mixes(nn.Module):
    """Takes the mean of the batch from each sample, in one mode; a gate that begins at 0 is after it."""

    def __init__(self, mode):
        super().__init__()
        self.mode, self.gate, self.answers = mode, nn.Linear(4, 4), nn.Linear(4, 3)
        nn.init.zeros_(self.gate.weight)

    def forward(self, x):
        mixed = x - x.mean(0) if self.training == (self.mode == "training") else x
        return self.answers(x + self.gate(mixed))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.answers = nn.Embedding(5, 4, max_norm=1e9), nn.Linear(4, 3)

    def forward(self, x):
        return self.answers(self.words(x.abs().long().clamp(max=4)).mean(1))


class Folds(nn.Module):
    """Has its layer see each number of a sample as one of the batch."""

    def __init__(self):
        super().__init__()
        self.answers = nn.Linear(1, 3)

    def forward(self, x):
        return self.answers(x.reshape(-1, 1)).reshape(len(x), -1, 3).mean(1)


def inplace():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), "'1' of the model is batch norm"),
        (Shortcut, r"opacus#828"),
        (Keeps, "writes into 'mean' when it is asked"),
        (Remembers, "in evaluation a sample's loss depends"),
        (lambda: Mixes("training"), "in training a sample's loss depends"),
        (lambda: Mixes("evaluation"), "in evaluation a sample's loss depends"),
        (Words, "'words' of the model has max_norm"),
        (Folds, "a layer of the model has .* gradients for"),
    ],
)
def test_what_cannot_be_told_of_single_samples_is_refused_in_words(model, words):
    with pytest.raises(ConfigError, match=words):
        private.tried(task_of(model, *samples()))


def test_a_loss_that_weighs_samples_by_their_batch_is_refused():
    def balanced(outputs, targets):
        each = nn.functional.cross_entropy(outputs, targets, reduction="none")
        return each / torch.bincount(targets, minlength=3)[targets]

    made = supervised(lambda: nn.Linear(4, 3), TensorDataset(*samples()), balanced, lambda p: torch.optim.SGD(p, lr=1.0))
    with pytest.raises(ConfigError, match="in training a sample's loss depends"):
        private.tried(clipped(made, 1.1))


class Empty(nn.Module):
    """A branch for columns of which this plan has none."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 0))

    def forward(self, x):
        return x + x[:, :0] @ self.weight.T


def test_layers_that_take_each_sample_by_itself_are_none_of_these():
    def model():
        layers = nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3), Empty()
        return nn.Sequential(nn.Unflatten(1, (1, 4)), *layers)

    private.tried(task_of(model, *samples()))


def test_an_activation_in_place_is_put_out_of_place_with_the_same_numbers():
    x, y = samples()
    guard = Guard(Noise(KEY), 1.0, 0.2, 1.0)
    torch.manual_seed(2)
    one = moved(task_of(inplace, x, y), guard, 3)
    torch.manual_seed(2)
    other = moved(task_of(lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), x, y), guard, 3)
    assert torch.equal(one, other)


def test_a_task_without_losses_of_single_samples_is_refused():
    x, y = samples()
    task = task_of(lambda: nn.Linear(4, 3), x, y)
    with pytest.raises(ConfigError, match="cannot clip the gradient of each sample"):
        clipped(dataclasses.replace(task, private=None), 1.0)
    with pytest.raises(ConfigError, match="says no sample's loss by itself"):
        clipped(dataclasses.replace(task, sample_losses=None), 1.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[optimiser]", "[training]\nclip = 1.0\n\n[optimiser]", "clip"),
        ("[optimiser]", "[training]\nbalanced = true\n\n[optimiser]", "balanced"),
        ("[optimiser]", "[training]\naccumulate = 2\n\n[optimiser]", "accumulate"),
        ("[optimiser]", "[training]\ncompile = true\n\n[optimiser]", "compile"),
        ("[optimiser]", '[training]\nprecision = "bfloat16"\n\n[optimiser]', "bfloat16"),
        ("seed = 3", 'seed = 3\nselect_on = "validation"', "validation"),
        ("seed = 3", 'seed = 3\nloss = "own"', "own"),
        ("loss_clip = 1.1\n", "", "loss_clip"),
        ("epsilon = 3.0", "epsilon = 0.0", "epsilon"),
        ("epsilon = 3.0", 'epsilon = 3.0\nunit = "person"', "unit"),
    ],
)
def test_what_does_not_go_with_a_budget_is_refused_in_the_plan(old, new, words):
    with pytest.raises(ConfigError, match=words):
        parse(PRIVATE.replace(old, new, 1).encode())


def test_a_guess_among_named_classes_is_the_limit_by_default():
    named = PRIVATE.replace("loss_clip = 1.1\n", "") + '\n[images]\nclasses = ["a", "b", "c"]\n'
    assert parse(named.encode()).plan.loss_limit == pytest.approx(math.log(3))


# The budget of a site


class Stop(Exception):  # noqa: N818 - it stands for a person's Ctrl-C
    pass


def interrupted(world, role="learner"):
    """A turn that is stopped at its third step."""

    def tell(what, step, *_):
        if what == "training" and step == 3:
            raise Stop

    with world.site(role).locked("train-local") as now, pytest.raises(Stop):
        train(now, tell)


def test_a_turn_that_was_killed_goes_on_with_the_very_noise_and_takes_its_share_once(stage):
    paired, sent = stage("paired"), stage("sent")
    shutil.copy(sent.folder("learner") / "noise.key", paired.folder("learner") / "noise.key")
    interrupted(paired)
    assert taken(paired) == 1  # before the first step, not after the last
    assert paired.turn("learner").name == sent.bundle("learner").name
    assert taken(paired) == 1
    assert paired.state("learner").position.sealed == sent.state("learner").position.sealed


def test_a_turn_begun_anew_with_other_noise_takes_another_share_and_the_last_is_refused(stage, capsys):
    paired = stage("paired")
    for shares in (1, 2):
        interrupted(paired)
        assert taken(paired) == shares
        (paired.folder("learner") / "noise.key").unlink()
    before = paired.fingerprint("learner")
    refused(capsys, ["train-local", "--site", str(paired.folder("learner"))], BudgetError, "for 2 turns, and 2 are gone")
    assert paired.fingerprint("learner") == before
    assert run(["status", "--site", str(paired.folder("learner"))]) == 0
    told = (
        "was begun and has its share: alx train-local goes on with it as long as its noise.key, data, machine and versions"
    )
    assert f"round 1 {told} are the same; else no turn is left: tell the peer; new" in capsys.readouterr().out


RESTORED, RESET = Restored(2, "d"), Reset("lost", "gone", 1, None, 2)


@pytest.mark.parametrize(
    ("since", "told", "following"),
    [
        ([], "round 1 was begun and has its share: alx train-local goes on", "alx train-local"),
        ([RESET._replace(bundles=None)], "round 1 was begun and has its share", "alx train-local"),  # the log alone
        ([RESTORED], "cannot train in round 1: tell the peer; new sites", "alx init, for a new site"),
        ([RESET], "cannot train in round 1: tell the peer; new sites", "alx init, for a new site"),
    ],
)
def test_a_turn_begun_before_a_restore_or_a_reset_is_not_told_to_go_on(stage, since, told, following):
    """Its noise.key is gone; and in round 1 nothing was selected that alx best could write."""
    world = stage("paired")
    plan, position = world.site("learner").plan, world.state("learner").position
    begun = Spent(1, "d", 1.0, 0.1, 8, 1.0, 2.0, 0.001)
    words, due = privacy.ended(plan, budgets.of([begun, begun, *since]), position, "learner")
    assert told in words
    assert due == following


def test_an_import_beyond_the_budget_before_anything_was_selected_is_told_no_best_model(stage):
    world = stage("paired")
    known = budgets.of([RESTORED] * 3)
    words, due = privacy.ended(world.site("provider").plan, known, world.state("provider").position, "provider")
    assert "cannot import what the peer sends: tell the peer; new sites" in words
    assert due == "alx init, for a new site"


def test_a_turn_that_goes_on_with_its_key_put_back_counts_the_restores_since_and_none_beyond_the_budget(stage, capsys):
    world = stage("paired")
    folder = world.folder("learner")
    interrupted(world)
    key = shutil.copy(folder / "noise.key", world.root / "noise.key")
    for shares in (2, 3):
        backup = back_up(world, name=f"backup-{shares}")
        shutil.rmtree(folder)
        assert run(restoring(world, backup)) == 0
        shutil.copy(key, folder / "noise.key")
        assert taken(world) == shares
        if shares == 2:
            shutil.copytree(folder, world.root / "begun")
            said = json.loads((world.turn("learner") / "manifest.json").read_text())["privacy"]
            assert said["turns"] == 2
            assert 2.9 < said["epsilon"] <= 3  # of one turn it is 2.2
            shutil.rmtree(folder)
            (world.root / "begun").rename(folder)
    refused(
        capsys, ["train-local", "--site", str(folder)], BudgetError, "with this one, which was begun, they come to epsilon"
    )
    assert run(["status", "--site", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told.endswith("next: alx init, for a new site\n")
    assert "under way" not in told  # no command goes on with it


def test_a_restore_gives_nothing_back_and_status_says_how_it_ends(stage, capsys, alx):
    world = stage("answered")
    backup = back_up(world)
    shutil.rmtree(world.folder("learner"))
    assert run(restoring(world, backup)) == 0
    assert taken(world) == 2
    gone = "LOOK: the privacy budget has no turn left, so this site cannot train in round 2: "
    told = alx("status", "--site", world.folder("learner")).out
    assert f"{gone}the peer's bundle can still be imported; then alx best" in told
    assert told.endswith("next: alx import-and-select DISK/BUNDLE\n")
    assert world.take("learner", world.bundle("provider")) == 0
    refused(capsys, ["train-local", "--site", str(world.folder("learner"))], BudgetError, "for 2 turns, and 2 are gone")
    told = alx("status", "--site", world.folder("learner")).out
    assert f"{gone}alx best writes the best model so far, on either side; tell the peer" in told
    assert told.endswith("next: alx best OUT.safetensors\n")
    assert alx("best", world.root / "out.safetensors", "--site", world.folder("learner")).code == 0


def test_a_restore_beyond_the_budget_chooses_nothing_again_and_status_says_so(stage, capsys, alx):
    world = stage("second")
    assert world.take("provider", world.bundle("learner", 2)) == 0
    reply = world.turn("provider")
    backup = back_up(world)
    assert world.take("learner", reply) == 0
    shutil.rmtree(world.folder("learner"))
    assert run(restoring(world, backup)) == 0
    assert taken(world) == 3
    before = world.fingerprint("learner")
    refused(capsys, command(world, "learner", reply), BudgetError, "for 2 turns, and 3 are gone")
    assert world.fingerprint("learner") == before
    told = alx("status", "--site", world.folder("learner")).out
    assert "LOOK: more of the privacy budget is gone than it has, so this site cannot import what the peer sends" in told
    assert told.endswith("next: alx best OUT.safetensors\n")


@pytest.mark.parametrize("with_log", [True, False])
def test_a_reset_gives_nothing_back_with_the_log_or_without(stage, capsys, with_log):
    world = stage("answered")
    lose(world, "learner")
    if not with_log:
        (world.folder("learner") / "events.sqlite").unlink()
    assert run(resetting(world, "learner")) == 0
    assert taken(world) == 2
    assert run(["export", str(world.disk), "--site", str(world.folder("learner"))]) == 0
    assert world.take("learner", world.bundle("provider")) == 0
    refused(capsys, ["train-local", "--site", str(world.folder("learner"))], BudgetError, "for 2 turns, and 2 are gone")
    assert "epsilon 2.204 of 3 spent by the last turn, at delta 0.001" in told_of(world)  # what the bundle said
    assert "2 of the budget's 2 turns gone, 1 by restores and resets; no turn is left" in told_of(world)
    known = dataclasses.replace(budgets.of(e.record for e in world.state("learner").entries), lost=2)
    assert "2 of the budget's 2 turns gone, and 1 beyond them, 2 by restores" in told_of(world, known)


def told_of(world, known=None):
    known = budgets.of(e.record for e in world.state("learner").entries) if known is None else known
    return privacy.spent(world.site("learner").plan, known)[0]


def test_status_says_nothing_of_it_where_nothing_is_left_to_train(stage, alx):
    told = alx("status", "--site", stage("second").folder("learner")).out  # sealed its last turn, with the last share
    assert "2 of the budget's 2 turns gone; no turn is left" in told
    assert "LOOK" not in told


def test_a_turn_that_only_the_log_knows_of_is_not_given_back(stage):
    world = stage("paired")
    interrupted(world)
    lose(world, "learner")
    assert run(resetting(world, "learner")) == 0
    assert taken(world) == 2
    assert "told at the next turn" in told_of(world)
    lose(world, "learner")
    assert run(resetting(world, "learner")) == 0
    assert taken(world) == 3


def test_an_old_copy_put_back_by_hand_is_found_by_the_peer_as_a_fork(stage, capsys):
    paired, sent = stage("paired"), stage("sent")
    assert sent.take("provider", sent.bundle("learner")) == 0
    other = paired.turn("learner")  # of a site that knows nothing of the other turn, with noise of its own
    refused(capsys, command(sent, "provider", other), ForkError, "sealed the round twice")


def test_several_processes_are_refused_before_anything_is_spent(stage):
    world = stage("paired")
    first, other = several.commands(2, "train-local", "--site", world.folder("learner"))
    assert first.code == ConfigError.exit_code
    assert "the plan has [privacy], and torchrun started '2' processes" in first.err
    assert (other.code, other.err) == (0, "")
    assert taken(world) == 0


def test_a_task_that_does_not_tell_its_samples_from_others_is_refused(stage):
    x, y = samples()
    task = task_of(lambda: nn.Linear(4, 3), x, y)
    with pytest.raises(ConfigError, match="does not tell its samples"):
        budget.share(stage("paired").state("learner"), task, "a turn", "cpu")


def test_other_samples_another_start_or_another_machine_have_other_noise(stage, monkeypatch):
    now = stage("paired").state("learner")
    x, y = samples()
    names = []
    for what, data, threads in (("a", "d", 1), ("b", "d", 1), ("a", "e", 1), ("a", "d", 2), ("a", "d", 1)):
        task = dataclasses.replace(task_of(lambda: nn.Linear(4, 3), x, y), data=lambda data=data: data)
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        names.append(budget.share(now, task, what, "cpu").noise.name())
    assert names[-1] == names[0]
    assert len(set(names)) == 4


def noise_of(world, role="learner"):
    """The name of the noise of one and the same turn, as this site would draw it now."""
    task = dataclasses.replace(task_of(lambda: nn.Linear(4, 3), *samples()), data=lambda: "d")
    return budget.share(world.state(role), task, "a turn", "cpu").noise.name()


def test_each_restore_and_a_reset_draw_other_noise_also_on_a_cpu_where_sums_may_differ(stage):
    """Kept moments may be lost, a task's file may be another: no digest of a turn knows all that its sums come from."""
    world = stage("answered")
    backup, found = back_up(world), [noise_of(world), noise_of(world)]
    assert not list(backup.rglob("noise.key"))
    for _ in range(2):  # the same backup: the ledger counts one restore both times
        shutil.rmtree(world.folder("learner"))
        assert run(restoring(world, backup)) == 0
        found.append(noise_of(world))
    lose(world, "learner")
    assert run(resetting(world, "learner")) == 0
    found.append(noise_of(world))
    assert found[0] == found[1]
    assert len(set(found)) == 4


# What is told


def test_two_sites_under_one_plan_draw_different_noise(stage):
    keys = [(stage("answered").folder(role) / "noise.key") for role in ("learner",)] + [
        stage("second").folder("provider") / "noise.key"
    ]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in keys)
    one, other = (path.read_bytes() for path in keys)
    assert (len(one), len(other)) == (32, 32)
    drawn = [Noise(key).normal("step", 0, 1000) for key in (one, other)]
    assert abs(float(np.corrcoef(*drawn)[0, 1])) < 0.1


def test_what_is_told_of_losses_has_the_noise_that_the_bundle_says_and_the_sums_stay_at_home(stage):
    world = stage("answered")
    bundle = world.bundle("provider")
    said = json.loads((bundle / "manifest.json").read_text())
    of = said["privacy"]
    assert of["deviation"] == pytest.approx(of["loss_noise"] * 1.1 * len(said["candidates"]) ** 0.5)
    assert (of["rate"], of["turns"], of["delta"]) == (pytest.approx(8 / 60), 1, 1e-3)
    assert len(said["candidates"]) == 4  # t = 0, the last step, two blends
    chosen = world.state("provider").position.selected[-1]
    assert said["start"]["global_loss"] == chosen.global_loss
    told = chosen.global_loss - chosen.signed[chosen.index]
    assert told != pytest.approx(chosen.own_loss)
    assert abs(told - chosen.own_loss) < 6 * of["loss_noise"] * 1.1
    assert "noise.key" not in {p.name for p in bundle.rglob("*")}


def test_sums_of_four_candidates_have_twice_the_noise_of_one_and_none_is_below_0():
    share = budget.Share(accountant.Turn(1.0, 1.0, 1, 2.0), Noise(KEY), 1.1, 1.0)
    assert (share.deviation(1), share.deviation(4)) == (pytest.approx(2.2), pytest.approx(4.4))
    told = np.array([share.noised([1000.0] * 4, str(i)) for i in range(400)]) - 1000
    assert told.std() == pytest.approx(4.4, rel=0.1)
    assert min(share.noised([0.0] * 100, "x")) == 0


@pytest.mark.parametrize(("multiplier", "step"), [(2.0, 2.0**-9), (15.0, 2.0**-6)])
def test_what_is_told_of_sums_is_on_a_grid_that_the_noise_alone_decides(multiplier, step):
    share = budget.Share(accountant.Turn(1.0, 1.0, 1, multiplier), Noise(KEY), 1.1, 1.0)
    assert 1 / 2048 < step / share.deviation(1) <= 1 / 1024
    for value in (0.1, 1234.5678, 1e6 / 3):
        (told,) = share.noised([value], "x")
        assert told % step == 0


def test_a_whole_exchange_ends_within_the_budget_and_both_have_one_model(stage, alx):
    world = stage("second")
    assert world.take("provider", world.bundle("learner", 2)) == 0
    assert world.take("learner", world.turn("provider")) == 0
    assert world.take("provider", world.close()) == 0
    for role in ("learner", "provider"):
        told = json.loads(alx("status", "--json", "--site", world.folder(role)).out)["privacy"]
        assert 2.9 < told["epsilon_spent"] <= 3
        assert (told["turns"], told["turns_taken"], told["turns_left"]) == (2, 2, 0)
        assert "no turn is left" in alx("status", "--site", world.folder(role)).out
        assert "epsilon" in alx("audit", world.folder(role)).out
        page = json.loads(alx("report", world.folder(role), "--json").out)
        (part,) = (p for c in page["clusters"] for p in c["parts"] if p["title"] == "What was selected, and why")
        assert "a head start drawn by chance, under the plan's [privacy]" in part["words"][0]
    assert len({world.state(role).position.closed.state for role in ("learner", "provider")}) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["privacy"].update(epsilon=3.5), "has spent epsilon 3.5"),
        (lambda m: m["privacy"].update(delta=0.01), "at delta 0.01"),
        (lambda m: m.update(privacy=None), "says nothing"),
        *(
            (lambda m, what=what: m["privacy"].update({what: m["privacy"][what] * 1.02}), f"says {what.replace('_', ' ')}")
            for what in ("noise", "rate", "loss_noise", "deviation")
        ),
        (lambda m: m["privacy"].update(steps=7), "says steps 7 "),
    ],
)
def test_a_bundle_that_overspends_or_has_other_noise_or_says_nothing_of_it_is_refused(stage, capsys, change, words):
    forge = Forge.of(stage("sent"), "learner")
    forge.edit(change)
    refused(capsys, command(forge.world, "provider", forge.bundle), PeerError, words)


def test_beside_sums_as_large_as_can_be_no_head_start_is_rounded_away(stage, monkeypatch):
    """What the choice is made from is the peer's sum less the head start; refused a little above."""
    world = stage("sent")
    with world.site("provider").locked("import-and-select") as now:
        own, said = now.site.plan.loss_limit, json.loads((world.bundle("learner") / "manifest.json").read_text())
    most = own * said["samples"] + 8 * said["privacy"]["deviation"]
    held, race = [], select.race
    monkeypatch.setattr(select, "race", lambda signed, *a, **k: held.extend(signed) or race(signed, *a, **k))
    drawn, starts = [], budget.Share.head_starts
    monkeypatch.setattr(budget.Share, "head_starts", lambda *a: drawn.extend(found := starts(*a)) or found)
    forge = Forge.of(world, "learner")
    forge.edit(lambda m: [c.update(loss=0.99 * most) for c in m["candidates"]])
    assert world.take("provider", forge.bundle) == 0
    assert [0.99 * most - each for each in held] == pytest.approx(drawn, abs=1e-12)
    assert min(map(abs, drawn)) > 1e-3


def test_a_sender_whose_budget_did_not_go_on_is_a_look(stage, alx):
    world = stage("second")
    forge = Forge.of(world, "learner", 2)
    forge.edit(lambda m: m["privacy"].update(turns=1))
    told = alx("import-and-select", forge.bundle, "--site", world.folder("provider"))
    assert told.code == 0
    assert "LOOK: the sender has spent no more of its privacy budget" in told.out


def test_check_says_what_noise_there_is_and_looks_where_it_drowns_the_data(stage, alx):
    paired = stage("paired")
    told = alx("check", "--site", paired.folder("learner"))
    assert told.code == 0, told.err
    assert "privacy: epsilon 3 at delta 0.001 for each sample of this site, over 2 turns and 0 spare" in told.out
    assert (
        "epsilon 0 of 3 spent by the last turn, at delta 0.001; 0 of the budget's 2 turns gone; it ends after 2 turns more"
        in told.out
    )
    assert "LOOK: the noise of a loss is" in told.out
    assert not (paired.folder("learner") / "noise.key").exists()
    assert taken(paired) == 0
