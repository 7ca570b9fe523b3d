"""Parts of a model that stay at home: each side has its own, none of it travels, and the global loss still never rises."""

import itertools
import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import load_file, save_file

from alx import files, turns
from alx.bundle.manifest import Start
from alx.cli.main import run
from alx.errors import CorruptError, ForkError, MalformedError
from alx.learning import measure
from alx.site import shelf
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from alx.tasks import load
from alx.turns import personal
from tests.conftest import PLAN, World, make_data, pair_world
from tests.forge import Forge, refused
from tests.killed import killed

NET = """
from collections import OrderedDict

from torch import nn


def net():
    return nn.Sequential(OrderedDict(
        bn0=nn.BatchNorm1d(4), lin=nn.Linear(4, 8), bn1=nn.BatchNorm1d(8), act=nn.ReLU(), head=nn.Linear(8, 3)
    ))
"""
MODEL = PLAN[PLAN.index("[model]") :]
BN = {f"bn{i}.{n}" for i in (0, 1) for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
HEAD = {"head.weight", "head.bias"}
SHARED = {"lin.weight", "lin.bias"}
BOTH = '["bn*", "head.*"]'


def plan_of(personal=BOTH, *lines, seed=3):
    text = PLAN.replace(MODEL, "").replace("seed = 3", "\n".join([f"seed = {seed}", *lines]))
    return f'{text}[model]\nsource = "net.py:net"\npersonal = {personal}\n'


def world_of(root, plan):
    """Two paired sites whose model has batch norm, as other data: the provider's numbers are larger."""
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(plan)
    (root / "net.py").write_text(NET)
    make_data(root)
    for role in ("learner", "provider"):
        new.create(root / role, SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz")), root / "plan.toml")
    return pair_world(World(root))


def rounds(world, number=2):
    for _ in range(number):
        assert world.take("provider", world.turn("learner")) == 0
        assert world.take("learner", world.turn("provider")) == 0


def losses(world, found):
    """The own loss of each side at its own model, measured by hand."""
    out = {}
    for role, each in found.items():
        site = world.site(role)
        task = load.task(site.folder, site.config, site.plan)
        out[role] = measure.measure(task, task.new_model(), each.tensors).total
    return out


@pytest.fixture(scope="module")
def one_round(tmp_path_factory):
    """Both sites after round 1."""
    world = world_of(tmp_path_factory.mktemp("personal") / "w", plan_of())
    rounds(world, 1)
    return world


@pytest.fixture
def second(one_round, tmp_path):
    """A private copy of that, before the learner's turn of round 2."""
    return lambda name="w": World(shutil.copytree(one_round.root, tmp_path / name))


@pytest.fixture(scope="module")
def closed(one_round, tmp_path_factory):
    """An exchange of two rounds with its closing."""
    world = World(shutil.copytree(one_round.root, tmp_path_factory.mktemp("closed") / "w"))
    rounds(world, 1)
    assert world.take("provider", world.close()) == 0
    return world


@pytest.mark.parametrize(
    ("personal", "lines"),
    [('["bn*"]', ()), (BOTH, ('candidates = "trajectory"',)), ('["lin*", "bn1.running_*"]', ('rounding = "bfloat16"',))],
)
def test_the_global_loss_is_the_sum_of_each_sides_own_at_its_own_model_and_never_rises(personal, lines, tmp_path):
    world = world_of(tmp_path / "w", plan_of(personal, *lines, seed=len(personal)))
    rounds(world)
    assert world.take("provider", world.close()) == 0
    both = {role: world.state(role) for role in ("provider", "learner")}
    selected = [s for of_round in zip(*(now.position.selected for now in both.values()), strict=True) for s in of_round]
    way = [s.global_loss for s in selected]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(way))
    found = {role: turns.best(now) for role, now in both.items()}
    assert found["learner"].state == found["provider"].state
    assert sum(losses(world, found).values()) == pytest.approx(way[-1], rel=1e-6)
    for s in selected:
        assert s.flags.start_loss_true in (True, None)
        assert s.flags.loss_rose in (False, None)


def test_nothing_personal_is_in_a_bundle_and_a_blend_is_made_of_what_is_shared(closed):
    parts = [p for role in ("learner", "provider") for p in (closed.folder(role) / "personal").rglob("*") if p.is_file()]
    values = {
        parts_of[name].numpy().tobytes() for path in parts for parts_of in [load_parts(path)] for name in ("bn1.weight",)
    }
    for role in ("learner", "provider"):
        now = closed.state(role)
        assert {t.name for t in now.own.layout.tensors} == SHARED
        for turn in now.position.sealed[:2]:
            with shelf.opened(now, turn) as bundle:
                assert {t.name for t in bundle.manifest.tensors} == SHARED
                states = [bundle.state(i) for i in range(len(bundle.manifest.candidates))]
                assert not any(value in flat for flat in states for value in values)
    assert any(c.blend for c in bundle.manifest.candidates)
    assert not any(b"personal" in p.name.encode() for p in closed.disk.rglob("*"))


def load_parts(path):
    """A kept file as it says itself: a digest, then safetensors."""
    return load_tensors(path.read_bytes()[32:])


def test_the_two_sides_end_with_the_same_shared_weights_and_personal_parts_of_their_own(closed, alx, tmp_path):
    told, found = {}, {}
    for role in ("learner", "provider"):
        out = tmp_path / f"{role}.safetensors"
        told[role] = json.loads(alx("best", out, "--site", closed.folder(role), "--json").out)
        found[role] = load_file(out)
        assert set(told[role]["personal"]) == BN | HEAD
        shown = alx("status", "--site", closed.folder(role)).out
        assert f"model {told[role]['weights']}; beside what is so named each side has its own personal parts" in shown
        card = (tmp_path / f"{role}.md").read_text()
        assert "One site's own" in card
        assert told[role]["weights"] in card
        assert "`bn1.running_mean`" in card
    assert all(torch.equal(found["learner"][name], found["provider"][name]) for name in SHARED)
    assert not any(torch.equal(found["learner"][name], found["provider"][name]) for name in HEAD | {"bn0.running_mean"})
    assert told["learner"]["weights"] == told["provider"]["weights"]


def test_a_model_with_parts_of_its_own_is_asked_as_a_file_and_as_the_sites(closed, alx, tmp_path):
    out = tmp_path / "m.safetensors"
    assert alx("best", out, "--site", closed.folder("provider")).code == 0
    data = f"npz:{closed.root / 'provider.npz'}"
    by_site = json.loads(alx("evaluate", "--data", data, "--site", closed.folder("provider"), "--json").out)
    by_file = json.loads(alx("evaluate", out, "--data", data, "--json").out)
    assert by_file["loss"] == by_site["loss"]
    assert by_site["metrics"]["accuracy"] == closed.state("provider").position.closed.held_out
    shown = load_file(out)
    shown["bn1.weight"] += 1
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    save_file(shown, out, metadata)
    assert "are not those that alx best wrote" in alx("evaluate", out, "--data", data).err


def test_an_import_says_that_each_side_measured_with_parts_of_its_own(second, alx):
    world = second()
    told = alx("import-and-select", world.turn("learner"), "--site", world.folder("provider")).out
    assert "what was chosen is shared; each side measured it with its own personal parts" in told
    assert "LOOK: the global loss rose" not in told


def test_the_site_knows_which_parts_are_personal_before_anything_is_sent(closed, alx):
    told = alx("check", "--site", closed.folder("learner")).out
    assert "personal: 12 tensors never leave this site: bn0.weight, " in told
    assert "160 B in 2 tensors travel" in told


def test_an_audit_of_a_site_says_that_nothing_personal_is_in_a_bundle(closed, alx):
    told = alx("audit", closed.folder("learner")).out
    kept = sum(len(list(f.iterdir())) for f in (closed.folder("learner") / "personal").iterdir() if f.is_dir())
    assert f"personal     in no bundle; kept here, whole, of {kept} snapshots that were sealed" in told


def files_of(world, role):
    folder = world.folder(role) / "personal"
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_kept_is_its_owners_alone(second):
    world = second()
    for path in [world.folder("learner") / "personal", *(world.folder("learner") / "personal").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", ["gone", "damaged", "another's", "of the first model"])
def test_parts_that_are_gone_or_damaged_are_refused_in_words_and_nothing_changes(second, alx, how):
    world = second()
    folder = world.folder("learner") / "personal"
    turn = world.state("learner").position.sealed[-1].digest
    chosen = folder / turn / str(chosen_by("provider", world))
    other = next(p for p in (folder / turn).iterdir() if p != chosen)
    match how:
        case "gone":
            chosen.unlink()
        case "damaged":
            data = bytearray(chosen.read_bytes())
            data[-1] ^= 1
            chosen.write_bytes(data)
        case "another's":
            shutil.copy(other, chosen)
        case _:
            shutil.copy(folder / "first", chosen)
    before = world.fingerprint("learner")
    done = alx("train-local", "--site", world.folder("learner"))
    assert done.code == 12
    assert f"the site's own part of snapshot {chosen.name} of this site's bundle {turn[:16]}… is gone or damaged" in done.err
    assert "restore the site from its backup" in done.err
    assert alx("best", world.root / "m.safetensors", "--site", world.folder("learner")).code == 12
    assert alx("audit", world.folder("learner")).code == 12
    assert world.fingerprint("learner") == before


@pytest.fixture
def put_back(second, tmp_path):
    """The learner is restored from before its turn of round 2; that turn's bundle on the disk, its digest, its parts."""
    world = second()
    learner, backup = world.folder("learner"), tmp_path / "backup"
    assert run(["backup", str(backup), "--site", str(learner)]) == 0
    bundle, turn = world.turn("learner"), world.state("learner").position.sealed[-1].digest
    parts = {p.name: p.read_bytes() for p in (learner / "personal" / turn).iterdir()}
    shutil.rmtree(learner)
    assert run(["restore", str(backup), str(learner)]) == 0
    return world, bundle, turn, parts


def test_a_restored_site_has_its_parts_again_where_its_bundle_is_put_back(put_back, alx):
    world, bundle, turn, parts = put_back
    learner = world.folder("learner")
    shutil.copytree(bundle, learner / "outbox" / bundle.name)
    done = alx("train-local", "--site", learner)
    assert done.code == 0
    assert f"round 2: was sealed already '{bundle.name}'" in done.out
    assert "training gave the same again, to the bit, as the bundle that lay in the outbox: that one stays" in done.out
    assert world.state("learner").position.sealed[-1].digest == turn
    assert {p.name: p.read_bytes() for p in (learner / "personal" / turn).iterdir()} == parts
    assert world.take("provider", bundle) == 0
    assert world.take("learner", world.turn("provider")) == 0


def test_a_restored_site_makes_no_second_bundle_beside_one_that_was_put_back(put_back, capsys):
    world, bundle, _, _ = put_back
    Forge.of(world, "learner", 2).edit(lambda m: m["candidates"][1].update(loss=m["candidates"][1]["loss"] / 2))
    learner = world.folder("learner")
    shutil.copytree(bundle, learner / "outbox" / bundle.name)
    before = len(world.state("learner").entries)
    words = ["train-local", "--site", str(learner)]
    refused(capsys, words, ForkError, "gave another bundle", "takes no second one", hint="docs/keys.md")
    assert len(world.state("learner").entries) == before
    shutil.rmtree(learner / "outbox" / bundle.name)
    assert run(words) == 0  # without it the site makes one that says that it was restored
    assert world.state("learner").position.sealed[-1].round == 2


@pytest.mark.parametrize(
    "spoil", [lambda b: flip(next((b / "data").iterdir())), lambda b: (b / "share.json").write_bytes(b"{}")]
)
def test_a_bundle_that_was_put_back_and_is_not_whole_is_not_thrown_away(put_back, capsys, spoil):
    world, bundle, turn, _ = put_back
    learner = world.folder("learner")
    there = learner / "outbox" / bundle.name
    shutil.copytree(bundle, there)
    spoil(there)
    words = ["train-local", "--site", str(learner)]
    refused(capsys, words, CorruptError, "was put there, and cannot be used", hint="put a good copy there")
    shutil.rmtree(there)
    shutil.copytree(bundle, there)
    assert run(words) == 0
    assert world.state("learner").position.sealed[-1].digest == turn


def flip(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("same", [True, False])
def test_each_turn_that_was_put_back_is_guarded_and_the_first_new_one_says_what_happened(tmp_path, capsys, same):
    world = world_of(tmp_path / "w", plan_of().replace("rounds = 2", "rounds = 3"))
    learner, backup = world.folder("learner"), tmp_path / "backup"
    assert run(["backup", str(backup), "--site", str(learner)]) == 0
    one = world.turn("learner")
    assert world.take("provider", one) == 0
    answer = world.turn("provider")
    assert world.take("learner", answer) == 0
    two = world.turn("learner")
    if not same:
        Forge.of(world, "learner", 2).edit(lambda m: m["candidates"][1].update(loss=m["candidates"][1]["loss"] / 2))
    shutil.rmtree(learner)
    assert run(["restore", str(backup), str(learner)]) == 0
    for bundle in (one, two):
        shutil.copytree(bundle, learner / "outbox" / bundle.name)
    words = ["train-local", "--site", str(learner)]
    assert run(words) == 0
    assert world.take("learner", answer) == 0
    if not same:
        refused(capsys, words, ForkError, "gave another bundle")
        return
    assert run(words) == 0
    assert [turn.back for turn in world.state("learner").position.sealed] == [True, True]
    assert world.take("provider", two) == 0
    assert world.take("learner", world.turn("provider")) == 0
    said = json.loads((world.turn("learner") / "manifest.json").read_text())["restored"]
    assert (said["how"], said["round"]) == ("backup", 0)


def chosen_by(role, world):
    """Which of the learner's snapshots the provider chose; of a blend, the last."""
    selected = world.state(role).position.selected[-1]
    return min(selected.index, sum(label.startswith("t=") for label in selected.labels) - 1)


def test_the_parts_of_the_first_model_are_made_anew_by_introducing_oneself_again(tmp_path, alx):
    world = world_of(tmp_path / "w", plan_of())
    path = world.folder("learner") / "personal" / "first"
    before = path.read_bytes()
    path.unlink()
    done = alx("train-local", "--site", world.folder("learner"))
    assert done.code == 12
    assert "alx identity makes them anew" in done.err
    assert alx("identity", tmp_path / "again.json", "--site", world.folder("learner")).code == 0
    assert path.read_bytes() == before
    assert alx("train-local", "--site", world.folder("learner")).code == 0


def test_a_start_that_was_never_offered_is_refused_before_anything_changes(second):
    """A peer that says it began at a candidate that is none: which parts go with it cannot be told."""
    world = second()
    first, now = world.state("provider").position.accepted[-1], world.state("provider")
    with shelf.opened(now, first) as bundle:
        said = bundle.manifest
    now = world.state("learner")
    lie = said.model_copy(
        update={"start": Start(candidate=99, global_loss=1.0, samples=100), "answers": now.position.sealed[-1].digest}
    )
    with pytest.raises(MalformedError, match="began at candidate 99"):
        personal.beside(now, lie)


class _KilledError(BaseException):
    """Nobody catches it."""


def test_killed_anywhere_the_old_parts_are_there_and_the_same_command_makes_the_same(second, tmp_path):
    whole = second("whole")
    whole.turn("learner")
    expected = whole.state("learner").position.sealed[-1].digest, files_of(whole, "learner")
    old = files_of(second(), "learner")
    for what, world in killed(second("t"), tmp_path / "killed", "train-local", "--site", "{}/learner", every=89):
        there = files_of(world, "learner")
        assert {name: there[name] for name in old} == old, what
        assert run(["train-local", "--site", str(world.folder("learner"))]) == 0, what
        assert world.state("learner").position.sealed[-1].digest == expected[0], what
        assert {n: d for n, d in files_of(world, "learner").items() if n in expected[1]} == expected[1], what


def test_killed_between_the_parts_and_the_ledger_the_bundle_is_sealed_again_and_what_is_left_over_goes(second, monkeypatch):
    world = second()
    old = {name.split("/")[0] for name in files_of(world, "learner")}

    def kill(*_):
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(files, "publish", kill)
        with pytest.raises(_KilledError):
            world.turn("learner")
    shutil.copytree(
        world.folder("learner") / "personal" / min(old - {"first"}), world.folder("learner") / "personal" / ("ab" * 32)
    )
    world.turn("learner")
    digest = world.state("learner").position.sealed[-1].digest
    assert {name.split("/")[0] for name in files_of(world, "learner")} == old | {digest}


def offered(world):
    """The candidates of the learner's last bundle, digests and losses; that of a restored site says so besides."""
    return json.loads((world.turn("learner") / "manifest.json").read_text())["candidates"]


def test_a_site_restored_from_its_backup_and_one_whose_ledger_is_rebuilt_go_on_with_the_same_parts(second, alx):
    expected = offered(second("whole"))
    world = second("restored")
    assert alx("backup", world.root / "backup", "--site", world.folder("learner")).code == 0
    shutil.rmtree(world.folder("learner"))
    assert alx("restore", world.root / "backup", world.folder("learner")).code == 0
    assert offered(world) == expected
    world = second("reset")
    (world.folder("learner") / "ledger.sqlite").unlink()
    assert alx("reset-ledger", "--reason", "lost", "--yes", "--site", world.folder("learner")).code == 0
    (back,) = (world.folder("learner") / "returned").iterdir()
    assert world.take("learner", back) == 0
    assert offered(world) == expected


OWN = """
import dataclasses
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import TensorDataset
import numpy as np
import torch
from alx.tasks import supervised
from net import net


class Averaged:
    def __init__(self, trainer, model):
        self.trainer, self.model = trainer, model
        self.mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)

    def step(self):
        loss = self.trainer.step()
        self.mean.update_parameters(self.model)
        return loss

    def snapshot(self):
        return self.mean.module.state_dict()

    def state_dict(self):
        return {"trainer": self.trainer.state_dict(), "mean": self.mean.state_dict()}

    def load_state_dict(self, saved):
        self.trainer.load_state_dict(saved["trainer"])
        self.mean.load_state_dict(saved["mean"])


def make_task(settings):
    with np.load(settings.folder.parent / f"{settings.own['name']}.npz") as arrays:
        own = TensorDataset(torch.from_numpy(arrays["train_images"]), torch.from_numpy(arrays["train_labels"]).long())
    whole = supervised(
        net, own, nn.CrossEntropyLoss(reduction="none"), settings.optimiser, batch_size=8, signed=settings.own["signed"]
    )
    return dataclasses.replace(whole, trainer=lambda model, seed: Averaged(whole.trainer(model, seed), model))
"""


@pytest.mark.parametrize("signed", [False, True])
def test_a_task_of_ones_own_with_averaged_weights_keeps_parts_at_home_too(tmp_path, monkeypatch, signed):
    """Measured sample by sample, and as a whole where a loss may have any sign."""
    monkeypatch.syspath_prepend(tmp_path)
    root = tmp_path / "w"
    (root / "disk").mkdir(parents=True)
    (tmp_path / "net.py").write_text(NET)
    (root / "task.py").write_text(OWN)
    lines = ('loss = "own"',) if signed else ()
    (root / "plan.toml").write_text(plan_of('["bn*"]', *lines).replace("net.py:net", "net:net"))
    make_data(root)
    for role in ("learner", "provider"):
        settings = {"name": role, "signed": signed}
        new.create(root / role, SiteFile(role=role, task=str(root / "task.py"), settings=settings), root / "plan.toml")
    world = pair_world(World(root))
    rounds(world, 1)
    assert world.take("provider", world.turn("learner")) == 0
    now = world.state("provider")
    assert {t.name for t in now.own.layout.tensors} == SHARED | HEAD
    last, before = now.position.selected[-1], world.state("learner").position.selected[-1]
    assert last.flags.start_loss_true
    assert last.global_loss <= before.global_loss * (1 + 1e-9)
    own = losses(world, {"provider": turns.latest(now)})["provider"]
    assert own == pytest.approx(last.own_loss, rel=1e-6)
