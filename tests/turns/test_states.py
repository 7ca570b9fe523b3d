"""What a model's state is, is the task's to say: adapters, averages and wrapped models go through whole rounds."""

import contextlib
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx.errors import ConfigError
from alx.learning import measure, state, trajectory
from alx.learning.task import Task, load_whole, whole_state
from alx.plan import parse
from alx.site.site_file import SiteFile
from alx.site.work import Work
from alx.steps import incoming, new
from alx.tasks import check_task, load, supervised
from alx.turns import bridge, checkpoints, recipes
from tests.conftest import PLAN, World, make_data, pair_world

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## What a model's state is") : PAGE.index("## Determinism")]
ADAPTERS, MEAN = re.findall(r"```py\n(.*?)```", SECTION, re.DOTALL)
OWN = PLAN[: PLAN.index("[model]")]

RETURNED = "dataclasses.replace(whole, state=state, load=load)"
AVERAGED = ADAPTERS.replace(RETURNED, "averaged(whole)") + MEAN
PLAIN = ADAPTERS.replace(RETURNED, "whole")
BOTH = ADAPTERS.replace(RETURNED, f"averaged({RETURNED})") + MEAN.replace(
    "self.mean.module.state_dict()", "state(self.mean.module)"
)
# One side wraps its model, as for several GPUs, and the other does not.
NET = """
import dataclasses
import torch
from torch import nn
from torch.utils.data import TensorDataset
from alx.tasks import supervised


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


class Wrapper(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = Net()

    def forward(self, x):
        return self.module(x)


def make_task(settings):
    wrapped = settings.own.get("wrapped")
    plain = supervised(
        Wrapper if wrapped else Net, TensorDataset(*torch.load(settings.folder / "own.pt")),
        nn.CrossEntropyLoss(reduction="none"), settings.optimiser, batch_size=8,
    )
    if not wrapped:
        return plain
    return dataclasses.replace(
        plain,
        state=lambda model: {n: v.cpu().clone() for n, v in model.module.state_dict().items()},
        load=lambda model, state: model.module.load_state_dict(state),
    )
"""


def exchange(root, source, *, wrapped=None):
    """Two paired sites with a task file each."""
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(OWN)
    (root / "task.py").write_text(source)
    make_data(root)
    for role in ("learner", "provider"):
        settings = {"wrapped": True} if role == wrapped else {}
        config = SiteFile(role=role, task=str(root / "task.py"), device="cpu", settings=settings)
        new.create(root / role, config, root / "plan.toml")
        with np.load(root / f"{role}.npz") as arrays:
            own = torch.from_numpy(arrays["train_images"]), torch.from_numpy(arrays["train_labels"]).long()
        torch.save(own, root / role / "own.pt")
    return pair_world(World(root))


def task_of(site):
    return load.task(site.folder, site.config, site.plan)


NAMES = {
    "adapters": {"adapter.weight"},
    "averaged": {"adapter.weight"},
    "both": {"adapter.weight"},
    "wrapped": {
        *(f"{i}.{n}" for i in (0, 1, 3) for n in ("weight", "bias")),
        *(f"1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")),
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_a_state_of_a_tasks_own_goes_through_two_rounds_as_any_other(name, tmp_path, alx):
    sources = {"adapters": ADAPTERS, "averaged": AVERAGED, "both": BOTH, "wrapped": NET}
    world = exchange(tmp_path / "w", sources[name], wrapped="provider" if name == "wrapped" else None)
    blends = set()
    for sender, receiver in [("learner", "provider"), ("provider", "learner")] * 2:
        assert alx("check", "--site", world.folder(sender)).code == 0
        bundle, now = world.turn(sender), world.state(receiver)
        own = task_of(world.site(sender))
        with incoming.verified(now, [bundle]) as staged:
            layout = staged.manifest.layout
            recipes.same_averaged(task_of(now.site), staged.manifest)
            assert {t.name for t in layout.tensors} == NAMES[name]
            for i, candidate in enumerate(staged.manifest.candidates):
                found = bridge.from_flat(bytes(staged.state(i)), layout)
                assert measure.measure(own, own.new_model(), found).total == candidate.loss
                blends |= set() if candidate.blend is None else {candidate.label}
        assert world.take(receiver, bundle) == 0
    assert len(blends) >= 4
    for role in ("learner", "provider"):
        flags = [chosen.flags for chosen in world.state(role).position.selected]
        assert all(f.start_sent in (True, None) and not f.loss_rose for f in flags)
    learner = world.state("learner").position.selected
    assert learner[-1].global_loss < learner[0].signed[0] + learner[0].known(0)[0]
    assert alx("best", tmp_path / "best.safetensors", "--site", world.folder("learner")).code == 0


def of_source(tmp_path, source):
    """The task of a file, on 40 samples."""
    (tmp_path / "task.py").write_text(source)
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    torch.save((x, (x[:, 0] > 0).long()), tmp_path / "own.pt")
    return load.task(tmp_path, SiteFile(role="learner", task="task.py", device="cpu"), parse(OWN.encode()).plan)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_a_snapshot_is_the_average_and_training_goes_on_with_what_is_averaged(tmp_path):
    """The mean made anew, out of the snapshots of a run that averages nothing."""
    averaged = of_source(tmp_path, AVERAGED)
    plain = of_source(tmp_path, PLAIN)
    start = state.fresh(plain)
    raw, mean = (
        dict(trajectory.sample(trajectory.Run(task, start, 5), 6, 1, lambda *_: None)) for task in (plain, averaged)
    )
    assert same(mean[0], start)
    assert same(mean[1], raw[1])
    expected = raw[1]
    for step in range(2, 7):
        expected = {n: torch.lerp(v, raw[step][n], 1 - 0.9) for n, v in expected.items()}
        assert all(torch.allclose(expected[n], v) for n, v in mean[step].items())
        assert not same(mean[step], raw[step])


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("source", [ADAPTERS, AVERAGED, BOTH], ids=["adapters", "averaged", "both"])
def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(source, tmp_path, monkeypatch):
    task = of_source(tmp_path, source)
    start = state.fresh(task)

    def run(folder, dies=None):
        def tell(step, _loss):
            if step == dies:
                raise _KilledError
            monkeypatch.setattr(checkpoints, "MAX_SECONDS", -1 if step == 5 else 60)

        with contextlib.suppress(_KilledError):
            checkpoints.sample(trajectory.Run(task, start, 1), Work(folder, {}), bridge.layout_of(start), 12, 2, tell)
        return {p.name: p.read_bytes() for p in folder.iterdir()}

    whole = run(tmp_path / "whole")
    assert len({whole[f"t{step}.state"] for step in range(0, 13, 2)}) == 7
    left = run(tmp_path / "killed", dies=9)
    assert left["checkpoint"]
    assert "t10.state" not in left
    assert run(tmp_path / "killed") == whole


def test_a_checkpoint_holds_what_travels_of_the_model_and_not_what_is_left_out(tmp_path):
    run = trajectory.Run(task := of_source(tmp_path, ADAPTERS), state.fresh(task), 1)
    run.trainer.step()
    saved = run.state_dict()["model"]
    assert set(saved) == {"adapter.weight"}
    assert not saved["adapter.weight"].requires_grad


# --- what can be wrong with it


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.norm, self.head = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.norm(self.base(x)))


class Frozen(Net):
    def __init__(self):
        super().__init__()
        self.base.requires_grad_(requires_grad=False)
        self.norm.requires_grad_(requires_grad=False)
        self.norm.eval()

    def train(self, mode=True):  # noqa: FBT002 - torch has it so
        super().train(mode)
        self.norm.eval()
        return self


def head(model):
    return {f"head.{n}": v for n, v in model.head.state_dict().items()}


def put_head(model, given):
    model.load_state_dict(given, strict=False)


def made(model, state, load):
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    adam = lambda parameters: torch.optim.Adam(parameters, lr=0.01)  # noqa: E731
    loss = nn.CrossEntropyLoss(reduction="none")
    data = TensorDataset(x, (x[:, 0] > 0).long())
    return dataclasses.replace(supervised(model, data, loss, adam, batch_size=8), state=state, load=load)


GOOD = made(Frozen, head, put_head)


def test_a_fit_pair_passes():
    assert check_task(GOOD) == []


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (made(Net, head, put_head), "state() leaves out what training changes: the trained model's loss is"),
        (made(Frozen, head, lambda _model, _given: None), "state() gives other tensors than load() was given: each has"),
        (
            made(Frozen, lambda model: {"x": model.norm.running_mean + 0}, lambda _model, _given: None),
            "state() gives other tensors than load() was given",
        ),
        (
            made(
                lambda: (net := Frozen(), net.register_buffer("unused", torch.zeros(2)))[0],
                lambda model: {"unused": model.unused},
                lambda model, given: model.unused.copy_(given["unused"]),
            ),
            "load() of other weights changes no loss: does measure() use the tensors that state() gives?",
        ),
        (made(Frozen, lambda _model: {}, put_head), "the model's state_dict holds 0 tensors"),
        (made(Frozen, lambda model: model.gone, put_head), "AttributeError: 'Frozen' object has no attribute 'gone'"),
        (made(Frozen, lambda model: model.head.state_dict(), put_head), "state() gives other tensors than load() was given"),
    ],
)
def test_a_pair_that_does_not_fit_is_told(task, said):
    found = check_task(task)
    assert said in found[0]


class Offers:
    """A trainer with a snapshot of its own."""

    def __init__(self, trainer, snapshot):
        self.step, self.state_dict, self.load_state_dict = trainer.step, trainer.state_dict, trainer.load_state_dict
        self.snapshot = snapshot


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (lambda start, _model: start, "trainer.snapshot() gives the same weights after 2 steps as before"),
        (lambda start, _model: {n: v + 1 for n, v in start.items()}, "trainer.snapshot() gives other weights before the"),
        (lambda _start, model: model.state_dict(), "training changes the model's tensors: 'base.weight' was not there"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_told(snapshot, said):
    def trainer(model, seed):
        start = {n: v.clone() for n, v in head(model).items()}
        return Offers(GOOD.trainer(model, seed), lambda: snapshot(start, model))

    (found,) = check_task(dataclasses.replace(GOOD, trainer=trainer))
    assert said in found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("state=lambda model: [1]", "state returned a list, expected a dict of tensors by name"),
        ("state=lambda model: 1 / 0", "state raised ZeroDivisionError"),
        ("load=lambda model, state: model.gone", "load raised AttributeError"),
        ("trainer=lambda model, seed: Odd(whole.trainer(model, seed))", "the trainer's snapshot returned a int, expected a"),
    ],
)
def test_what_a_pair_or_a_snapshot_raises_or_gives_is_told_in_words(changed, said, tmp_path):
    odd = """
class Odd:
    def __init__(self, trainer):
        self.step, self.state_dict, self.load_state_dict = trainer.step, trainer.state_dict, trainer.load_state_dict

    def snapshot(self):
        return 3
"""
    source = (
        ADAPTERS.replace(RETURNED, f"dataclasses.replace(whole, **(dict(state=state, load=load) | dict({changed})))") + odd
    )
    with pytest.raises(ConfigError) as caught:
        trajectory.Run(task := of_source(tmp_path, source), state.fresh(task), 1).snapshot()
    assert said in caught.value.message


def test_frozen_weights_that_are_left_out_may_be_shared_and_no_others():
    kept = Frozen()

    def shared(name):
        def make():
            model = Frozen()
            setattr(model, name, getattr(kept, name))
            return model

        return make

    assert check_task(made(shared("base"), head, put_head)) == []
    (found,) = check_task(made(shared("head"), head, put_head))
    assert "shares 'head." in found
    (found,) = check_task(dataclasses.replace(made(shared("base"), None, None), state=whole_state, load=load_whole))
    assert "shares 'base." in found


def test_fewer_models_are_held_at_once_where_much_of_them_stays_behind():
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.base, self.head = nn.Linear(2048, 2048), nn.Linear(4, 3)

    assert measure.together(Task(Large, None, None, state=head, load=put_head), 60) == 3
    assert measure.together(Task(Large, None, None), 60) == 32
