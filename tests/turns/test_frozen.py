"""A frozen backbone stays at home: given to both sites, named by a digest, and whole again in the file of the best model."""

import contextlib
import dataclasses
import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load as read
from safetensors.torch import load_file, save_file
from torch import nn

from alx.bundle import manifest, strict_json
from alx.bundle.frozen import Frozen
from alx.errors import ConfigError, ModelError
from alx.learning import state
from alx.plan import INIT_NAME, Init, parse
from alx.site.site_file import Data, SiteFile
from alx.steps import incoming, new, pairing
from alx.tasks import given, load
from alx.turns import best_file, bridge, checkpoints, inspect, latest, train
from tests.conftest import PLAN, World, make_data, make_world, pair_world

NET = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(self.backbone(x))


def build():
    return Net()
"""
OWN = PLAN[: PLAN.index("[model]")]
MODEL = """\
[model]
source = "net.py:build"
freeze = ["backbone.*"]

[model.init]
names = { "encoder.*" = "backbone.*" }
skip = ["fc.*"]
"""
BACKBONE = {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}


def weights(seed):
    """Of a model that is like ours: its backbone is called otherwise, and it tells seven classes apart."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16))
    encoder(torch.randn(32, 4))
    held = {f"encoder.{name}": value.clone() for name, value in encoder.state_dict().items()}
    return held | {"fc.weight": torch.zeros(7, 16), "fc.bias": torch.zeros(7)}


def two(root, *, plan=OWN + MODEL, files=(1, 1)):
    """Two sites that were given weights, each by a seed or none, not yet paired."""
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(plan)
    (root / "net.py").write_text(NET)
    make_data(root)
    for role, seed in zip(("learner", "provider"), files, strict=True):
        path = None if seed is None else root / f"{role}-weights.safetensors"
        if path is not None:
            save_file(weights(seed), path)
        config = SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz"), device="cpu")
        new.create(root / role, config, root / "plan.toml", init=path)
    return World(root)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Two rounds and the closing."""
    world = pair_world(two(tmp_path_factory.mktemp("frozen") / "world"))
    for sender, receiver in [("learner", "provider"), ("provider", "learner")] * 2:
        assert world.take(receiver, world.turn(sender)) == 0
    assert world.take("provider", world.close()) == 0
    return world


def said(bundle):
    return json.loads((bundle / "manifest.json").read_text())


def by_hand(held):
    """The digest as docs/format.md has it, of float32 and int64 tensors: these first, then by name."""
    lines = ""
    for name in sorted(held, key=lambda n: (held[n].dtype != torch.int64, n)):
        value, kind = held[name], {torch.int64: "I64", torch.float32: "F32"}[held[name].dtype]
        own = hashlib.sha256(value.numpy().tobytes()).hexdigest()
        lines += f"{kind} {'x'.join(map(str, value.shape))} {name} {own}\n"
    return hashlib.sha256(lines.encode()).hexdigest()


def test_a_bundle_holds_the_head_alone_and_names_the_backbone_by_its_digest(played):
    given = {name.replace("encoder", "backbone"): value for name, value in weights(1).items() if "encoder" in name}
    for role, round_ in (("learner", 1), ("provider", 2)):
        found = said(played.bundle(role, round_))
        assert {t["name"] for t in found["tensors"]} == {"fc.weight", "fc.bias"}
        nbytes = sum(value.nbytes for value in given.values())
        assert found["frozen"] == {"tensors": 7, "bytes": nbytes, "digest": by_hand(given)}
        assert any(c["blend"] for c in found["candidates"]) or round_ == 1
    assert all(played.state(role).own.file.frozen.digest == by_hand(given) for role in ("learner", "provider"))


def test_training_went_down_and_every_turn_began_where_it_says(played):
    chosen = played.state("learner").position.selected
    assert chosen[-1].global_loss < chosen[0].signed[0] + chosen[0].known(0)[0]
    flags = [s.flags for role in ("learner", "provider") for s in played.state(role).position.selected]
    assert all(f.start_sent in (True, None) and not f.loss_rose for f in flags)


def test_an_audit_says_what_is_not_in_the_bundle(played, alx):
    told = alx("audit", played.bundle("learner"), "--key", played.folder("learner") / "public.pem").out
    assert "frozen       7 tensors more, 584 B, which both sites have and no bundle holds" in told
    assert said(played.bundle("learner"))["frozen"]["digest"] in told
    assert alx("audit", played.folder("provider")).code == 0


def test_alx_best_writes_the_whole_model_and_both_sites_write_the_same(played, alx, tmp_path):
    names = {}
    for role in ("learner", "provider"):
        (tmp_path / role).mkdir()
        names[role] = tmp_path / role / "best.safetensors"
        assert alx("best", names[role], "--site", played.folder(role)).code == 0
    assert names["learner"].read_bytes() == names["provider"].read_bytes()
    found, given = load_file(names["learner"]), weights(1)
    assert found.keys() == {f"backbone.{n}" for n in BACKBONE} | {"fc.weight", "fc.bias"}
    assert all(torch.equal(found[f"backbone.{n}"], given[f"encoder.{n}"]) for n in BACKBONE)
    card = (tmp_path / "learner" / "best.md").read_text()
    assert said(played.bundle("learner"))["frozen"]["digest"] in card
    assert "backbone.0.weight" in card


def test_the_file_is_judged_where_no_site_is_as_the_site_judges_its_own(played, alx, tmp_path):
    out = tmp_path / "best.safetensors"
    assert alx("best", out, "--site", played.folder("learner")).code == 0
    data = ["--data", f"npz:{played.root / 'learner.npz'}", "--json"]
    away = alx("evaluate", out, *data)
    assert away.code == 0, away.err
    here = json.loads(alx("evaluate", "--site", played.folder("learner"), *data).out)
    assert {**json.loads(away.out), "model": 0, "data": 0} == {**here, "model": 0, "data": 0}


def test_a_file_whose_frozen_part_was_changed_is_damaged(played, alx, tmp_path):
    out = tmp_path / "best.safetensors"
    assert alx("best", out, "--site", played.folder("learner")).code == 0
    raw = bytearray(out.read_bytes())
    at = raw.index(weights(1)["encoder.0.weight"].numpy().tobytes())
    raw[at] ^= 1
    out.write_bytes(raw)
    told = alx("evaluate", out, "--data", f"npz:{played.root / 'learner.npz'}")
    assert told.code == 12
    assert "are not those that alx best wrote" in told.err


def test_a_check_says_what_was_taken_and_what_stays_at_home(tmp_path):
    found = inspect(two(tmp_path / "world").site("provider"))
    assert found.found == []
    given = "7 tensors of 9 taken; left in the file: fc.bias, fc.weight; new in the model: fc.bias, fc.weight"
    lines = found.words()
    assert f"given weights: {given}" in lines
    assert any(line.startswith("frozen, at home, and the same on both sides: 7 tensors, 584 B, SHA-256 ") for line in lines)
    assert found.json()["frozen"] == found.frozen.model_dump()
    assert found.footprint.state == (16 * 3 + 3) * 4
    assert found.footprint.trained == 16 * 3 + 3


def test_a_site_that_was_given_no_weights_where_the_plan_maps_some_is_refused(tmp_path, alx):
    world = two(tmp_path / "world", files=(1, None))
    for words in (["check"], ["identity", world.disk / "provider.json"]):
        told = alx(*words, "--site", world.folder("provider"))
        assert told.code == 2
        assert "the plan has [model.init], and this site was given no weights to begin with" in told.err
    assert alx("check", "--site", world.folder("learner")).code == 0


def test_two_sites_with_other_frozen_weights_are_not_paired(tmp_path, alx):
    world = two(tmp_path / "world", files=(1, 2))
    for role in ("learner", "provider"):
        assert alx("identity", world.disk / f"{role}.json", "--site", world.folder(role)).code == 0
    told = alx("pair", world.disk / "provider.json", "--yes", "--site", world.folder("learner"))
    assert told.code == 17
    assert "the peer's frozen weights are others: expected 7 tensors, 584 B, SHA-256 " in told.err
    assert "give both the same file by alx init --init" in told.err


def test_a_peer_without_frozen_weights_is_refused_too(played):
    now = played.state("learner")
    bare = now.peer.file.model_copy(update={"frozen": None})
    with pytest.raises(ModelError, match=r"expected 7 tensors, .* got none"):
        pairing.check_peer(now, dataclasses.replace(now.peer, file=bare))


@pytest.mark.parametrize("change", [None, {"digest": "a" * 64}, {"tensors": 6}, {"bytes": 583}])
def test_a_bundle_that_says_otherwise_of_the_frozen_weights_is_refused(played, change):
    now, found = played.state("provider"), manifest.parse((played.bundle("learner") / "manifest.json").read_bytes())
    incoming.check_contents(now, found)
    other = None if change is None else found.frozen.model_copy(update=change)
    with pytest.raises(ModelError, match="the bundle's frozen weights are others"):
        incoming.check_contents(now, found.model_copy(update={"frozen": other}))


def test_without_a_file_the_frozen_weights_are_those_of_the_seed_on_both_sides(tmp_path):
    plan = OWN + MODEL[: MODEL.index("[model.init]")]
    world = pair_world(two(tmp_path / "world", plan=plan, files=(None, None)))
    assert world.take("provider", world.turn("learner")) == 0


def test_weights_that_were_changed_since_pairing_are_noticed(played, tmp_path, alx):
    world = World(tmp_path / "world")
    shutil.copytree(played.root, world.root)
    save_file(weights(2), world.folder("learner") / INIT_NAME)
    told = alx("best", tmp_path / "best.safetensors", "--site", world.folder("learner"))
    assert told.code == 17
    assert "this site's frozen weights are others" in told.err
    paired = pair_world(two(tmp_path / "new"))
    save_file(weights(2), paired.folder("learner") / INIT_NAME)
    told = alx("train-local", "--site", paired.folder("learner"))
    assert told.code == 17
    assert "this site's frozen weights are others" in told.err


def test_training_that_changes_what_is_frozen_is_told_before_a_bundle_is_made(tmp_path, alx):
    moves = NET.replace(
        "        return self.fc",
        "        if self.training:\n            self.backbone[0].weight.data += 0.1\n        return self.fc",
    )
    world = two(tmp_path / "world")
    for role in ("learner", "provider"):
        (world.folder(role) / "net.py").write_text(moves)
    told = alx("check", "--site", world.folder("learner"))
    assert told.code == 2
    assert "training changes 'backbone.0.weight', which is frozen and does not travel" in told.err
    pair_world(world)
    told = alx("train-local", "--site", world.folder("learner"))
    assert told.code == 2
    assert "training changed frozen weights" in told.err
    assert not list((world.folder("learner") / "outbox").iterdir())


def test_a_turn_that_was_killed_goes_on_bit_for_bit(tmp_path, monkeypatch):
    plain, broken = (two(tmp_path / name) for name in ("a", "b"))
    for world in (plain, broken):
        pair_world(world)
    monkeypatch.setattr(checkpoints, "TIMES_ITS_COST", 0)
    steps = []

    def stop(_what, step, *_):
        steps.append(step)
        if step == 3:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt), broken.site("learner").locked("test") as now:
        train(now, stop)
    assert steps[-1] == 3
    made = []
    for world in (plain, broken):
        with world.site("learner").locked("test") as now:
            made.append(train(now))
    states = [[c["state"] for c in said(m.path)["candidates"]] for m in made]
    assert states[0] == states[1]


def test_the_provider_is_given_no_file_where_nothing_stays_at_home(tmp_path, alx):
    world = make_world(tmp_path / "world")
    save_file(weights(1), tmp_path / "w.safetensors")
    words = ["--role", "provider", "--plan", world.root / "plan.toml", "--init", tmp_path / "w.safetensors"]
    told = alx("init", tmp_path / "new", *words)
    assert told.code == 2
    assert "the provider starts from what the learner sends" in told.err
    assert "both sides need it" in told.err
    for more in ("plan.toml", "own.toml"):  # what a model of one's own freezes by itself, only one that runs tells
        text = (world.root / "plan.toml").read_text()
        own = text.replace("alx.tasks.models:mlp", "net.py:build") if more == "own.toml" else f'{text}freeze = ["0.*"]\n'
        (tmp_path / more).write_text(own)
        (tmp_path / "net.py").write_text(NET)
        words[3] = tmp_path / more
        assert alx("init", tmp_path / f"site-{more}", *words).code == 0


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ('skip = ["fc.*"]', "'backbone.0.bias' expected F32[16], got nothing"),
        ('names = { "encoder.*" = "backbone.*" }', "'fc.bias' expected F32[3], got F32[7]"),
        ('names = { "encoder.*" = "backbone.*" }\nskip = ["fc.*", "gone"]', "init.skip has 'gone', and no tensor"),
        ('names = { "encode.*" = "backbone.*" }\nskip = ["fc.*"]', "names has 'encode.*', and no tensor in"),
        ('names = { "encoder.*" = "backbone.*", "fc.*" = "backbone.0.*" }', "' twice"),
        ('names = { "encoder.*" = "backbone" }', "'encoder.*' and 'backbone' have not as many *"),
    ],
)
def test_a_map_that_does_not_fit_is_refused_with_names(model, said, tmp_path):
    begin = OWN + MODEL[: MODEL.index("[model.init]")] + "[model.init]\n"

    def loaded():
        site = two(tmp_path / "world", plan=f"{begin}{model}\n").site("learner")
        return load.task(site.folder, site.config, site.plan)

    with pytest.raises(ConfigError) as caught:
        loaded()
    assert said in caught.value.message


def test_the_first_rule_that_fits_counts_and_each_star_is_the_same_text(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a.q.weight": torch.ones(2), "a.norm.weight": torch.zeros(2)}, path)
    model = {"base.a.q.inner.weight": torch.empty(2), "base.a.norm.weight": torch.empty(2), "new": torch.empty(1)}
    wanted = Init(names={"*.q.*": "base.*.q.inner.*", "*": "base.*"}, skip=["new"])
    found = given.read(path, model, wanted)
    assert {name: value.tolist() for name, value in found.tensors.items()} == {
        "base.a.q.inner.weight": [1, 1],
        "base.a.norm.weight": [0, 0],
    }
    assert (found.left, found.new) == ((), ("new",))


def test_a_task_of_ones_own_names_what_is_frozen_itself(tmp_path):
    source = """
import dataclasses
import torch
from torch import nn
from alx.tasks import supervised


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.base(x).relu())


def make_task(settings):
    data = torch.utils.data.TensorDataset(torch.ones(6, 4), torch.zeros(6, dtype=torch.int64))
    whole = supervised(Net, data, nn.CrossEntropyLoss(reduction="none"), settings.optimiser)
    return dataclasses.replace(
        whole,
        state=lambda model: dict(model.head.named_parameters()),
        load=lambda model, held: model.head.load_state_dict(held),
        frozen=lambda model: {f"base.{name}": value for name, value in model.base.named_parameters()},
    )
"""
    (tmp_path / "task.py").write_text(source)
    plan = parse(OWN.encode()).plan
    task = load.task(tmp_path, SiteFile(role="learner", task="task.py", device="cpu"), plan)
    model = task.new_model()
    assert state.fresh(task).keys() == {"weight", "bias"}
    found = bridge.frozen_of(task, model)
    assert (found.tensors, found.bytes) == (2, (8 * 4 + 8) * 4)
    assert found.digest == by_hand({f"base.{name}": value.detach() for name, value in model.base.named_parameters()})


def test_the_latest_model_is_whole_too(played):
    found = read(best_file(latest(played.state("learner"))))
    assert {name for name in found if name.startswith("backbone.")} == {f"backbone.{n}" for n in BACKBONE}


def test_what_is_frozen_is_one_record_with_one_form():
    record = Frozen(tensors=1, bytes=4, digest="a" * 64)
    assert json.loads(strict_json.text(record)) == {"tensors": 1, "bytes": 4, "digest": "a" * 64}
