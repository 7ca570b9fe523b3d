"""What a side keeps of its optimiser over its own turns: tied to the turn that was sealed, and never carried."""

import json
import shutil

import pytest
import torch
from torch import nn

from alx import files, plan
from alx.cli.main import run
from alx.errors import ConfigError
from alx.learning import state, trajectory
from alx.learning.task import LossSum, Task
from alx.site import kept
from alx.study import baselines
from alx.tasks import check_task, load
from alx.turns import bridge, checkpoints, initial, turn_seed
from tests.conftest import PLAN, World, make_world, pair_world
from tests.turns.test_training import decoded, normed_task, same

KEEPS = PLAN.replace("lr = 0.01", "lr = 0.01\nkeep = true")
ONE, OTHER = "1a" * 32, "2b" * 32


@pytest.fixture(scope="module")
def before_second_turn(tmp_path_factory):
    """Both sites before the learner's turn of round 2."""
    world = pair_world(make_world(tmp_path_factory.mktemp("kept") / "w", KEEPS))
    assert world.take("provider", world.turn("learner")) == 0
    assert world.take("learner", world.turn("provider")) == 0
    return world


@pytest.fixture
def second(before_second_turn, tmp_path):
    def copy(name="w"):
        return World(shutil.copytree(before_second_turn.root, tmp_path / name))

    return copy


def by_hand(world, *, keep):
    """The last state of the learner's second turn, out of two runs in memory."""
    site = world.site("learner")
    task = load.task(site.folder, site.config, site.plan)
    steps = site.plan.steps("learner", 40, 60)
    found = decoded(world, "learner", 2)
    starts = [initial(site, task), bridge.from_flat(found["t=0"][1], site.look().own.layout)]
    handed_on = None
    for round_, start in enumerate(starts, 1):
        turn = trajectory.Run(task, start, turn_seed(site.plan.seed, round_, "learner"))
        if keep and handed_on is not None:
            turn.take_up(handed_on)
        *_, (_, last) = trajectory.sample(turn, steps, steps, lambda *_: None)
        handed_on = turn.kept()
    return bridge.to_flat(last, site.look().own.layout), found[f"t={steps}"][1]


def sealed(world):
    return world.state("learner").position.sealed[-1].digest


def test_a_turn_goes_on_with_the_optimiser_of_its_sides_turn_before(second):
    world = second()
    folder = world.folder("learner") / "kept"
    assert [p.name for p in folder.iterdir()] == [sealed(world)]
    world.turn("learner")
    assert [p.name for p in folder.iterdir()] == [sealed(world)]
    made, expected = by_hand(world, keep=True)
    assert made == expected
    assert by_hand(world, keep=False)[0] != expected


def test_what_is_kept_is_its_owners_alone_and_is_not_carried(second):
    world = second()
    (mine,) = (world.folder("learner") / "kept").iterdir()
    assert mine.stat().st_mode & 0o077 == mine.parent.stat().st_mode & 0o077 == 0
    on_disk = [p for p in world.disk.rglob("*") if p.is_file()]
    assert on_disk
    assert not any(mine.read_bytes()[-4096:] in p.read_bytes() for p in on_disk)


class _KilledError(BaseException):
    """Nobody catches it."""


def test_killed_at_any_write_the_turn_ends_with_the_same_bundle_and_the_same_is_kept(second, monkeypatch):
    whole = second("whole")
    whole.turn("learner")
    expected = sealed(whole), (whole.folder("learner") / "kept" / sealed(whole)).read_bytes()
    world = second("killed")
    old = sealed(world)
    write, kills = files.write, 0
    for survive in (
        0,
        1,
        2,
        5,
        9,
        13,
        14,
        16,
        20,
        24,
    ):  # from write to write further: what was done before is not done again
        left = [survive]

        def killed(path, data, *rest, left=left, **named):
            left[0] -= 1
            if left[0] < 0:
                write(path, bytes(data)[: len(data) // 2], *rest, **named)
                raise _KilledError
            write(path, data, *rest, **named)

        with monkeypatch.context() as patched:
            patched.setattr(files, "write", killed)
            patched.setattr(checkpoints, "TIMES_ITS_COST", 0)  # a checkpoint after every step
            try:
                assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
                break
            except _KilledError:
                kills += 1
        assert sealed(world) == old
        assert kept.get(world.folder("learner"), old)
    assert kills >= 5
    assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
    assert (sealed(world), (world.folder("learner") / "kept" / sealed(world)).read_bytes()) == expected


def test_between_the_kept_state_and_the_ledger_the_old_one_is_still_there(second, monkeypatch):
    world = second()
    old, whole = sealed(world), second("whole")
    whole.turn("learner")

    def killed(*_):
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(files, "publish", killed)
        with pytest.raises(_KilledError):
            world.turn("learner")
    assert {p.name for p in (world.folder("learner") / "kept").iterdir()} == {old, sealed(whole)}
    world.turn("learner")
    assert sealed(world) == sealed(whole)
    assert [p.name for p in (world.folder("learner") / "kept").iterdir()] == [sealed(whole)]


def test_where_it_is_gone_the_turn_starts_afresh_and_says_so(second, alx):
    world = second()
    folder = world.folder("learner")
    shutil.rmtree(folder / "kept")
    told = alx("train-local", "--site", folder)
    assert told.code == 0
    assert "LOOK: the optimiser started afresh" in told.out
    made, found = by_hand(world, keep=False)
    assert made == found
    world = second("damaged")
    (mine,) = (world.folder("learner") / "kept").iterdir()
    mine.write_bytes(mine.read_bytes()[:-1] + b"?")
    told = alx("train-local", "--site", world.folder("learner"), "--json")
    assert json.loads(told.out)["optimiser_afresh"] is True
    told = alx("train-local", "--site", second("good").folder("learner"))
    assert "LOOK" not in told.out


def test_a_backup_has_it(second, tmp_path, alx):
    world = second()
    folder = world.folder("learner")
    assert alx("backup", tmp_path / "backup", "--site", folder).code == 0
    shutil.rmtree(folder)
    assert alx("restore", tmp_path / "backup", folder).code == 0
    told = alx("train-local", "--site", folder)
    assert "LOOK" not in told.out
    made, found = by_hand(world, keep=True)
    assert made == found


def test_only_what_was_kept_of_that_very_turn_is_given_back(tmp_path):
    assert kept.get(tmp_path, ONE) is None
    kept.put(tmp_path, ONE, b"state")
    assert kept.get(tmp_path, ONE) == b"state"
    assert kept.get(tmp_path, OTHER) is None
    path = tmp_path / "kept" / ONE
    shutil.copy(path, path.with_name(OTHER))
    assert kept.get(tmp_path, OTHER) is None  # another turn's, by that name
    for damaged in (b"", path.read_bytes()[:-1], path.read_bytes() + b"!"):
        path.with_name(OTHER).write_bytes(damaged)
        assert kept.get(tmp_path, OTHER) is None
    kept.forget(tmp_path, ONE)
    assert [p.name for p in path.parent.iterdir()] == [ONE]


def test_keep_is_the_plans_and_not_torchs():
    text = 'name = "p"\nrounds = 1\nround_steps = 2\nsampling_period = 1\n[optimiser]\nname = "sgd"\nmomentum = 0.9\n'
    paper, keeps = (plan.parse((text + more).encode()).plan for more in ("", "keep = true\n"))
    assert not paper.optimiser.keep
    assert paper.optimiser.options() == keeps.optimiser.options()
    assert plan.differences(paper, keeps) == ["optimiser.keep: here False, there True"]
    with pytest.raises(ConfigError, match=r"optimiser\.keep"):
        plan.parse((text + "keep = 1\n").encode())


class _Plain:
    """A trainer of before: nothing is handed on."""

    def __init__(self, model):
        self.optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        self.model = model

    def step(self):
        self.optimiser.zero_grad()
        loss = self.model(torch.ones(1, 1)).square().sum()
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def state_dict(self):
        return self.optimiser.state_dict()

    def load_state_dict(self, saved):
        self.optimiser.load_state_dict(saved)


class _Forgets(_Plain):
    def kept(self):
        return self.optimiser.state_dict()

    def take_up(self, _kept):
        pass


def of(trainer):
    return Task(
        lambda: nn.Linear(1, 1),
        lambda model, _seed: trainer(model),
        lambda model: LossSum(float(model(torch.ones(1, 1)).square().sum()), 1),
    )


def test_a_trainer_that_hands_nothing_on_is_told():
    turn = trajectory.Run(of(_Plain), state.fresh(of(_Plain)), 0)
    with pytest.raises(ConfigError, match=r"has no kept\(\) and take_up\(\)"):
        turn.kept()
    assert check_task(of(_Plain)) == []


def test_a_trainer_that_does_not_take_up_what_was_handed_on_is_told():
    (told,) = check_task(of(_Forgets))
    assert "trainer.take_up() leaves something out" in told


def test_rivals_keep_theirs_too():
    tasks = {"learner": normed_task(), "provider": normed_task(1)}
    steps = {"learner": 4, "provider": 4}
    text = KEEPS.encode()
    ends = {}
    for keep in (False, True):
        agreed = plan.parse(text if keep else text.replace(b"keep = true\n", b"")).plan
        for name, play in (
            ("cyclic", baselines.cyclic(tasks, agreed, steps)),
            ("fedavg", baselines.fedavg(tasks, agreed, steps, {"learner": 40, "provider": 40})),
        ):
            trajectory.seed_all(0)
            ends[name, keep] = list(baselines.states(play, 2))
    for name in ("cyclic", "fedavg"):
        assert same(ends[name, False][0], ends[name, True][0])
        assert not same(ends[name, False][1], ends[name, True][1])


def test_nothing_is_missed_before_the_first_turn(tmp_path, alx):
    world = pair_world(make_world(tmp_path / "w", KEEPS))
    told = alx("train-local", "--site", world.folder("learner"), "--json")
    assert (told.code, json.loads(told.out)["optimiser_afresh"]) == (0, False)
