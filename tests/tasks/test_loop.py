"""A training loop of one's own: it trains as it does by itself, and goes on where it was interrupted, bit for bit."""

import copy
import io
import itertools
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset, WeightedRandomSampler

from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.tasks import check_task, looped, supervised
from alx.tasks.loader import Loader

COUNT, BATCH, STEPS = 21, 4, 13  # six batches an epoch, the last of one sample; two epochs and a bit


def tensors():
    x = torch.randn(COUNT, 4, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long()


class Noisy(Dataset):
    """Augmentation as people write it: from whatever random state there is."""

    def __init__(self):
        self.x, self.y = tensors()

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        noise = torch.randn(4) + random.gauss(0, 0.1) + float(np.random.normal(0, 0.1))  # noqa: NPY002 - as users do
        return self.x[index] + 0.1 * noise, self.y[index]


class Restless(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        out = self.net(x)
        return self.norm(out) if len(x) > 1 or not self.training else out


def train(model, loader, steps):
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps + 8)
    for _ in itertools.count():
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            scheduler.step()
            yield loss, optimizer, scheduler


def task(loop=train, loader=None, **more):
    return looped(
        model=Restless,
        train=loop,
        loader=DataLoader(Noisy(), batch_size=BATCH, shuffle=True) if loader is None else loader,
        data=TensorDataset(*tensors()),
        loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]), reduction="none"),
        **more,
    )


def begun(made):
    trajectory.seed_all(7)
    return trajectory.Run(made, state.fresh(made), 5, STEPS)


def play(run, steps=STEPS):
    return list(trajectory.sample(run, steps, 1, lambda _step, _loss: None))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def interrupted(make, at):
    """A run that is saved at step `at`, and what another one, made anew, makes of it."""
    run = begun(make())
    play(run, at)
    buffer = io.BytesIO()
    torch.save(run.state_dict(), buffer)
    del run
    buffer.seek(0)
    following = begun(make())
    torch.manual_seed(99)  # in another process nothing is as it was
    following.load_state_dict(torch.load(buffer, weights_only=True))
    return play(following)


def refused(loop=train, loader=None, steps=2, **more):
    run = begun(task(loop, loader, **more))
    with pytest.raises(ConfigError) as caught:
        play(run, steps)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _one_thread():
    """Two cores shared with others: threads that wait for each other make small steps ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_loop_trains_as_it_does_by_itself():
    found = play(begun(task()))
    made = task()
    trajectory.seed_all(7)
    model = made.new_model()
    trajectory.seed_all(5)
    for _ in itertools.islice(train(model, DataLoader(Noisy(), batch_size=BATCH, shuffle=True), STEPS), STEPS):
        pass
    assert found[-1][0] == STEPS
    assert same(found[-1][1], model.state_dict())


@pytest.mark.parametrize("at", [0, 1, 5, 6, 7, 12])
def test_an_interrupted_loop_goes_on_bit_for_bit_wherever_in_an_epoch(at):
    whole = play(begun(task()))
    for step, weights in interrupted(task, at):
        assert same(weights, whole[step][1]), step


LOADERS = {
    "a generator of its own": lambda: DataLoader(Noisy(), BATCH, shuffle=True, generator=torch.Generator()),
    "a sampler that balances": lambda: DataLoader(Noisy(), BATCH, sampler=WeightedRandomSampler([1.0] * 20 + [9.0], COUNT)),
    "drawn with replacement": lambda: DataLoader(
        Noisy(), BATCH, sampler=RandomSampler(Noisy(), replacement=True, num_samples=40, generator=torch.Generator())
    ),
    "a list": lambda: list(DataLoader(TensorDataset(*tensors()), BATCH)),
    "a data set without indices": lambda: DataLoader(Endless(), BATCH),
}


class Endless(IterableDataset):
    def __iter__(self):
        data = Noisy()
        return (data[int(i)] for i in torch.randperm(COUNT))


@pytest.mark.parametrize("name", LOADERS)
def test_an_interrupted_loop_goes_on_whatever_its_loader(name):
    def make():
        return task(loader=LOADERS[name]())

    assert check_task(make()) == []
    whole = play(begun(make()))
    for at in (4, 9):
        for step, weights in interrupted(make, at):
            assert same(weights, whole[step][1]), (at, step)


# a worker is forked from a process that has threads
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_interrupted_loop_goes_on_with_what_its_workers_draw():
    def make():
        return task(loader=DataLoader(Noisy(), BATCH, shuffle=True, num_workers=1))

    whole = play(begun(make()))
    for step, weights in interrupted(make, 8):
        assert same(weights, whole[step][1]), step


def test_a_loop_is_fit_for_a_first_round_and_its_loss_is_that_of_its_samples_without_augmentation():
    made = task()
    assert check_task(made) == []
    start = state.fresh(made)
    model = made.new_model().eval()
    model.load_state_dict(start)
    x, y = tensors()
    with torch.no_grad():
        by_hand = nn.functional.cross_entropy(model(x), y, torch.tensor([1.0, 3.0]), reduction="none").double().sum()
    found = measure.measure(made, made.new_model(), start)
    assert found.count == COUNT
    assert found.total == pytest.approx(float(by_hand), rel=1e-6)
    plain = supervised(
        Restless,
        TensorDataset(*tensors()),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]), reduction="none"),
        torch.optim.Adam,
    )
    assert made.objective(3) == plain.objective(3)


def test_a_loop_may_hold_a_generator_a_teacher_and_an_evaluation_that_leaves_the_model_out_of_training():
    def held(model, loader, _steps):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        teacher, draws = copy.deepcopy(model), torch.Generator().manual_seed(3)
        for _ in itertools.count():
            for x, y in loader:
                optimizer.zero_grad()
                mixed = x + 0.1 * torch.randn(x.shape, generator=draws)
                out = model(mixed)
                loss = nn.functional.cross_entropy(out, y) + (out - teacher(mixed).detach()).square().mean()
                loss.backward()
                optimizer.step()
                yield loss, optimizer, teacher, draws
            model.eval()  # and never back

    whole = play(begun(task(held)))
    for at in (3, 11):
        for step, weights in interrupted(lambda: task(held), at):
            assert same(weights, whole[step][1]), (at, step)


@pytest.mark.parametrize("at", [1, 7])
def test_a_loop_that_asks_for_batches_itself_goes_on_too(at):
    def asks(model, loader, _steps):
        optimizer, batches = torch.optim.Adam(model.parameters(), lr=0.02), iter(loader)
        while True:
            try:
                x, y = next(batches)
            except StopIteration:
                batches = iter(loader)
                x, y = next(batches)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            yield loss.item(), optimizer

    whole = play(begun(task(asks)))
    for step, weights in interrupted(lambda: task(asks), at):
        assert same(weights, whole[step][1]), step


SCHEDULES = {
    "warm-up, then cosine": lambda optimizer, steps: lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.LinearLR(optimizer, total_iters=5), lr_scheduler.CosineAnnealingLR(optimizer, steps - 5)],
        [5],
    ),
    "a formula": lambda optimizer, steps: lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps),
    "two at once": lambda optimizer, _steps: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer, 0.5), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    ),
    "restarts": lambda optimizer, _steps: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_an_interrupted_loop_goes_on_in_any_schedule_of_torch(name):
    def scheduled(model, loader, steps):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        scheduler = SCHEDULES[name](optimizer, steps)
        for x, y in itertools.chain.from_iterable(itertools.repeat(loader)):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            yield loss, optimizer, scheduler

    whole = play(begun(task(scheduled)))
    for step, weights in interrupted(lambda: task(scheduled), 8):
        assert same(weights, whole[step][1]), step


def test_a_loop_says_the_learning_rate_of_each_step_but_the_first():
    def halves(model, loader, _steps):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
            yield loss, optimizer, scheduler

    run, rates = begun(task(halves)), []
    for _ in trajectory.sample(run, 4, 1, lambda _step, _loss: rates.append(run.rate)):
        pass
    assert rates == [None, 0.25, 0.125, 0.0625]


# --- what cannot go on is refused


def test_what_has_a_state_and_is_not_yielded_is_refused_by_its_name():
    def without(model, loader, _steps):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        scheduler = lr_scheduler.StepLR(optimizer, 100)
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            yield loss, optimizer
        scheduler.step()

    assert "the loop's scheduler has a state, and the loop does not yield it" in refused(without)


@pytest.mark.parametrize("generator", [np.random.default_rng(0), np.random.RandomState(0), random.Random(0)])  # noqa: S311
def test_a_generator_whose_state_nobody_saves_is_refused_by_its_name(generator):
    def draws(model, loader, steps):
        noise = generator
        yield from train(model, loader, steps)
        del noise

    assert "the loop's noise is a random generator whose state nobody saves" in refused(draws)


def test_a_model_in_a_wrapper_and_a_weighed_loss_need_not_be_yielded():
    def wrapped(model, loader, _steps):
        again = nn.Sequential(model)
        criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
        optimizer = torch.optim.Adam(again.parameters(), lr=0.02)
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(again(x), y)
            loss.backward()
            optimizer.step()
            yield loss, optimizer

    assert check_task(task(wrapped)) == []


def test_a_loop_that_ends_before_the_turn_says_at_which_step():
    def short(model, loader, steps):
        yield from itertools.islice(train(model, loader, steps), 3)

    assert "the loop ended after 3 steps, and the turn has 13" in refused(short, steps=STEPS)


def test_a_loop_that_was_not_told_the_length_of_its_turn_says_so():
    made = task()
    trainer = made.trainer(made.new_model(), 0)
    with pytest.raises(ConfigError, match="the loop was not told how many steps its turn has"):
        trainer.step()


def test_a_learning_rate_that_the_loop_counts_itself_is_found_by_the_check():
    def counts(model, loader, _steps):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for at, (x, y) in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (1 + at)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            yield loss, optimizer

    (told,) = check_task(task(counts))
    assert "a run that was saved and loaded goes on otherwise" in told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda *_: 3, "the loop returned a int, expected a generator"),
        (lambda *_: iter([(0.5, 3)]), "the loop yields a int, which has no state_dict"),
    ],
)
def test_what_is_no_loop_is_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        play(begun(task(given)))


class Draws(Noisy):
    def __init__(self, generator):
        super().__init__()
        self.transform = [None, {"noise": generator}]


@pytest.mark.parametrize(
    ("loader", "told"),
    [
        (Noisy, "loader is a Noisy, expected what gives batches"),
        (lambda: 3, "loader is a int, expected what gives batches"),
        (lambda: iter([1]), "loader is a list_iterator, which can be gone over once"),
        (lambda: DataLoader(Noisy(), num_workers=1, persistent_workers=True), "the loader has persistent_workers"),
        *(
            (lambda own=own: DataLoader(Draws(own)), r"dataset.transform\[1\]\['noise'\] is a random generator")
            for own in (torch.Generator(), np.random.default_rng(0), np.random.RandomState(0), random.Random(0))  # noqa: S311
        ),
    ],
)
def test_a_loader_that_cannot_be_gone_over_again_in_the_same_way_is_refused(loader, told):
    with pytest.raises(ConfigError, match=told):
        Loader(loader(), 0)


def test_a_loader_with_fewer_batches_than_were_taken_is_refused():
    loader = Loader([1, 2, 3], 0)
    assert list(itertools.islice(loader, 3)) == [1, 2, 3]
    with pytest.raises(ConfigError, match="the loader has 2 batches, and 3 were taken before the interruption"):
        Loader([1, 2], 0).go_to(loader.place())


def test_a_loader_is_the_users_in_all_else():
    data = Noisy()
    loader = Loader(DataLoader(data, batch_size=BATCH), 0)
    assert len(loader) == 6
    assert loader.dataset is data
    assert loader.batch_size == BATCH
    assert len(copy.copy(loader)) == 6
