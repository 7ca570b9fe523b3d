"""Both sites and their rivals on one machine: same start, data and steps; goes on after a kill; says what it costs."""

import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric import ec
from jsonschema import Draft202012Validator
from PIL import Image

from alx import files, plan, training
from alx.bundle import write
from alx.bundle.frozen import Frozen
from alx.bundle.layout import Layout, Tensor
from alx.bundle.manifest import Blend, Candidate, Party, Start, Version4
from alx.cli.main import run
from alx.learning import measure, trajectory
from alx.site import site as sites
from alx.site import site_file
from alx.study import algorithms, baselines, cost, figures, parties, pool, sizes, splits
from alx.study.results import Results, Round, Run, summarise
from alx.tasks import descent, load
from tests import generated
from tests.forked import alx_fork

PLAN = """\
# a comment = with a sign
name = "tiny"
rounds = 2
round_steps = 12
sampling_period = 4
batch_size = 16
seed = 7

[optimiser]
name = "adam"
lr = 0.003

[model]
source = "model.py:net"

[images]
channels = 1
"""
MODEL = """\
from torch import nn


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))
"""


def fill(folder):
    (folder / "plan.toml").write_text(PLAN)
    (folder / "model.py").write_text(MODEL)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return fill(tmp_path)


@pytest.fixture(scope="module")
def _played(tmp_path_factory):
    """Assistance alone."""
    folder = fill(tmp_path_factory.mktemp("played"))
    with contextlib.chdir(folder):
        assert simulate("--baselines", "", "--out", "sim") == 0
    return folder


@pytest.fixture
def played(_played, tmp_path, monkeypatch):
    """A private copy of it."""
    folder = shutil.copytree(_played, tmp_path / "played")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def _grown(tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("grown"))
    with contextlib.chdir(folder):
        assert simulate("--baselines", "cyclic", "--out", "sim") == 0
        shutil.copytree("sim", "first")
        assert simulate("--baselines", "cyclic, fedavg,cyclic", "--seeds", "0-1", "--out", "sim", "--json") == 0
    return folder


@pytest.fixture
def grown(_grown, tmp_path, monkeypatch):
    """Cyclic transfer was asked for, and is in `first`; then, in `sim`, federated averaging and a second seed too."""
    folder = shutil.copytree(_grown, tmp_path / "grown")
    monkeypatch.chdir(folder)
    return folder


def simulate(*arguments):
    return run(["simulate", "plan.toml", "--samples", "120", "--split", "complementary:0,1,2,3,4:0.1", *arguments])


def results(folder):
    return Results.model_validate_json((folder / "results.json").read_bytes())


ALL = "centralised,learner-only,provider-only,cyclic,cyclic+distillation,fedavg,fedavg+distillation,paper"


def test_everything_is_played_measured_and_drawn(place, capsys):
    assert simulate("--seeds", "0,2", "--baselines", ALL, "--out", "sim") == 0
    out = capsys.readouterr().out
    found = results(place / "sim")
    assert [s.algorithm for s in found.summary] == [
        "assisted",
        "paper",
        "centralised",
        "learner-only",
        "provider-only",
        "cyclic",
        "cyclic+distillation",
        "fedavg",
        "fedavg+distillation",
    ]
    for words in ("learner: ", "steps a turn", "on this machine", "carried for each seed", "left", "within 0.01", "fedavg"):
        assert words in out
    assert {(r.algorithm, r.seed, len(r.rounds)) for r in found.runs} == {
        (s.algorithm, seed, 2) for s in found.summary for seed in (0, 2)
    }
    Draft202012Validator(json.loads((generated.ROOT / "schemas" / "results.schema.json").read_text())).validate(
        json.loads((place / "sim" / "results.json").read_text())
    )
    for dealt in found.dealt:
        assert dealt.learner + dealt.provider == 120
        assert dealt.learner_steps + dealt.provider_steps == 12
    for each in found.of("assisted") + found.of("paper"):
        losses = [r.loss for r in each.rounds]
        assert losses == sorted(losses, reverse=True)
        assert all(r.selected is not None and r.carried > 0 for r in each.rounds)
    assert all(r.carried == 0 for r in found.of("centralised")[0].rounds)
    assert all(r.carried > 0 for r in found.of("cyclic")[0].rounds)
    with Image.open(place / "sim" / "simulation.png") as picture:
        assert picture.size[0] > 800
    assert "<svg" in (place / "sim" / "simulation.svg").read_text()
    left = {p.name for p in (place / "sim" / "seed-0").iterdir()}
    assert left == {"model.py", "dealt.json", *(f"{s.algorithm}.json" for s in found.summary)}  # no samples, no bundles


def test_asked_again_it_plays_only_what_is_new_and_the_numbers_stay(grown, capsys):
    first, second = results(grown / "first"), results(grown / "sim")
    assert [r for r in second.runs if r.seed == 0 and r.algorithm != "fedavg"] == first.runs
    assert len(second.runs) == 6
    capsys.readouterr()
    assert simulate("--baselines", "cyclic", "--split", "gamma:1", "--out", "sim") == 2
    assert run(["simulate", "plan.toml", "--split", "gamma:1", "--out", "sim"]) == 2
    told = capsys.readouterr().err
    assert "holds a study with another split\n" in told
    assert "holds a study with another split and number of samples\n" in told


def test_what_earlier_calls_asked_for_stays_in_the_results(grown, capsys):
    first = results(grown / "sim")
    assert [(r.algorithm, r.seed) for r in first.runs] == [
        ("assisted", 0),
        ("assisted", 1),
        ("cyclic", 0),
        ("cyclic", 1),
        ("fedavg", 0),
        ("fedavg", 1),
    ]
    capsys.readouterr()
    assert simulate("--baselines", "cyclic,blended+distillation", "--seeds", "1,2", "--out", "sim") == 0
    told = capsys.readouterr().out
    assert "going on: 2 of 4 runs are there" in told
    assert "blended+distillation is what the plan says: it is played once, as assisted" in told
    second = results(grown / "sim")
    assert [d.seed for d in second.dealt] == [0, 1, 2]
    assert [r for r in second.runs if r.seed < 2] == first.runs
    assert {s.algorithm: s.seeds for s in second.summary} == {"assisted": 3, "cyclic": 3, "fedavg": 2}
    lines = told.splitlines()
    (header,) = (line for line in lines if line.startswith("after round 2"))
    assert header.split() == ["after", "round", "2", "seeds", "accuracy", "AUC", "loss", "a", "sample", "carried"]
    (fedavg,) = (line for line in lines if line.startswith("fedavg"))
    assert fedavg.split()[1] == "2"


SLIPS = [
    (["--split", "complementary:3,77"], "no sample has the class 77"),
    (["--split", "column:hospital:north"], "the data have no column 'hospital'"),
    (["--samples", "5000"], "--samples asks for 5,000, and the data have 1,438"),
    (["--samples", "2", "--split", "complementary:0,1,2,3,4,5,6,7,8,9"], "of 2 samples drawn with seed 0: "),
    (["--seeds", "0-9", "--samples", "2", "--split", "gamma:1"], "leaves the provider without samples with seed"),
]


@pytest.fixture(scope="module")
def slips(tmp_path_factory):
    """All of them in one folder, each with its exit code, what it told and whether a study was begun; then none."""
    done = []
    with contextlib.chdir(fill(tmp_path_factory.mktemp("slips"))):
        for wrong, _ in SLIPS:
            with contextlib.redirect_stderr(io.StringIO()) as told:
                code = run(["simulate", "plan.toml", "--out", "sim", *wrong])
            done.append((code, told.getvalue(), Path("sim", "study.json").exists()))
        return done, simulate("--baselines", "", "--out", "sim")


@pytest.mark.parametrize("number", range(len(SLIPS)), ids=[told for _, told in SLIPS])
def test_a_slip_of_the_pen_does_not_spoil_the_folder(slips, number):
    done, afterwards = slips
    code, told, begun = done[number]
    assert code == 2
    assert SLIPS[number][1] in told
    assert not begun
    assert afterwards == 0


def test_a_model_that_does_not_fit_does_not_spoil_the_folder(place, capsys):
    (place / "model.py").write_text(MODEL.replace("Linear(64", "Linear(63"))
    assert simulate("--out", "sim") == 2
    error = capsys.readouterr().err
    assert "the model cannot take 'digits', inputs of shape [1, 1, 8, 8]" in error
    assert "hint: your own data: --data KIND:PATH; without it, it is --data digits" in error
    assert {p.name for p in (place / "sim").iterdir()} == {"lock"}
    (place / "sim" / "trial").mkdir()  # as a kill would leave it
    (place / "model.py").write_text(MODEL)
    assert simulate("--baselines", "", "--out", "sim") == 0
    assert not (place / "sim" / "trial").exists()


def play(folder, words, meanwhile=lambda _pid: None):
    """Simulate in a fork of this process, which has loaded what that needs; meanwhile is called with its number."""
    asked = ("simulate", "plan.toml", "--samples", "120", "--split", "gamma:0.5", *words)
    return alx_fork(*asked, folder=folder, meanwhile=meanwhile)


def test_what_is_promised_is_kept(place):
    """Carried and on disk: at most what was said at the start, for a model that its own manifest outweighs."""
    peak = 0

    def look(_pid):
        nonlocal peak
        peak = max(peak, on_disk(place / "sim"))

    done = play(place, ["--baselines", "cyclic,fedavg,paper", "--out", "sim"], look)
    assert done.code == 0, done.err
    told = done.out
    assert 100_000 < peak <= amount(re.search(r"at most (\S+ \S+) of disk", told)[1])
    promised = {name: amount(size) for size, name in re.findall(r"([\d.]+ \w+) by (\w+)", told)}
    assert set(promised) == {"assisted", "paper", "cyclic", "fedavg"}
    for summary in results(place / "sim").summary:
        assert 0.5 * promised[summary.algorithm] < summary.carried <= promised[summary.algorithm]


def amount(text):
    number, unit = text.split()
    return float(number) * {"kB": 1e3, "MB": 1e6}[unit]


def on_disk(folder):
    """Bytes of all files, though some go while they are counted."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found += (Path(place) / name).stat().st_size
    return found


@pytest.mark.parametrize(("widths", "counts"), [((3, 5), (2, 0)), ((700, 20), (7, 8))])
def test_no_bundle_is_larger_than_its_bound(tmp_path, widths, counts):
    """Sealed with noise in place of weights, which packs worst."""
    layout = Layout((Tensor(name="a", dtype="F32", shape=list(widths)), Tensor(name="n", dtype="I32", shape=[])))
    rng, key = np.random.default_rng(0), ec.generate_private_key(ec.SECP256R1())
    snapshots, blends = counts
    listed, candidates = [], []
    states = (rng.bytes(layout.nbytes) for _ in range(snapshots))
    for i, written in enumerate(write.candidates(tmp_path, states, layout)):
        names = [f.name for f in written.files]
        candidates.append(Candidate(step=i, loss=float(rng.normal()), state="b" * 64, keyframe=True, files=names))
        listed += written.files
    for i in range(blends):
        blend = Blend(
            own_step=snapshots - 1, peer_bundle="a" * 64, peer_step=3, own=1 / 3 + i / 100, peer=0.25, momentum=0.5
        )
        loss = float(rng.normal())
        candidates.append(Candidate(step=None, blend=blend, loss=loss, state="b" * 64, keyframe=False, files=[]))
    made = Version4(
        format="alx-bundle",
        version=4,
        sender=Party(role="learner", key="c" * 64),
        plan="d" * 64,
        round=2,
        sequence=3,
        receiver=Party(role="provider", key="e" * 64),
        previous="f" * 64,
        answers="a" * 64,
        samples=100,
        start=Start(candidate=0, global_loss=float(rng.normal()), samples=200),
        tensors=list(layout.tensors),
        candidates=candidates,
        averaged=[],
        frozen=Frozen(tensors=20_000, bytes=1 << 40, digest="b" * 64),
        restored=None,
        privacy=None,
    )
    write.seal(tmp_path, made, listed, key)
    bound = snapshots * sizes.most(layout) + sizes.wrapping(layout, snapshots, blends)
    assert 0.7 * bound < on_disk(tmp_path) <= bound


def test_the_hint_of_a_table_names_the_default_of_data(place, capsys):
    shutil.copy(generated.ROOT / "examples" / "csv" / "plan.toml", place / "table.toml")
    assert run(["simulate", "table.toml", "--out", "sim"]) == 2
    error = capsys.readouterr().err
    assert "learner.npz" not in error
    assert "--data digits" in error


def test_losses_within_a_decade_are_drawn_on_a_plain_axis():
    def played(*losses):
        rounds = [Round(round=i, loss=x, score=None, carried=0, raw=0, selected=None) for i, x in enumerate(losses, 1)]
        return Run(algorithm="cyclic", seed=0, rounds=rounds, seconds=1.0)

    figure, axis = figures.plt.subplots()
    for losses, scale in (((0.9, 0.5), "linear"), ((5.0, 0.5), "log"), ((1.0, 0.0), "linear"), ((None, None), "linear")):
        figures.scale(axis, [played(*losses)])
        assert axis.get_yscale() == scale
    figures.plt.close(figure)


def test_killed_it_goes_on_and_ends_at_the_same_numbers(place):
    words = ["--baselines", "fedavg", "--out"]
    assert play(place, [*words, "whole"]).code == 0
    for _ in range(3):
        before = progress(place / "killed")

        def kill(pid, before=before):
            if progress(place / "killed") != before:
                os.kill(pid, signal.SIGKILL)

        assert play(place, [*words, "killed"], kill).code == -signal.SIGKILL
    assert play(place, [*words, "killed"]).code == 0
    numbers = [
        [(r.algorithm, [q.model_dump() for q in r.rounds]) for r in results(place / name).runs]
        for name in ("whole", "killed")
    ]
    assert numbers[0] == numbers[1]


def progress(folder):
    """Names and sizes of what a round leaves behind."""
    return sorted((p.name, p.stat().st_size) for p in folder.glob("seed-0/*") if p.suffix in (".part", ".json"))


@pytest.fixture
def both(place):
    whole = pool.digits(np.random.default_rng(0)).part(150, np.random.default_rng(0))
    return parties.deal(
        whole,
        splits.parse("gamma:0.4"),
        plan.load(place / "plan.toml"),
        MODEL.encode(),
        place / "dealt",
        3,
        np.random.default_rng(3),
        site_file.Metrics(),
    )


def test_everybody_starts_at_the_same_model_and_the_seed_is_the_plans(both):
    assert both.plan.plan.seed == 3
    models = [task.new_model().state_dict() for task in both.tasks.values()]
    for other in models[1:]:
        assert all(torch.equal(a, b) for a, b in zip(models[0].values(), other.values(), strict=True))
    pooled = both.tasks["pooled"]
    assert measure.measure(pooled, pooled.new_model(), models[0]).count == sum(both.samples.values())


def test_a_party_alone_trains_as_one_run_without_breaks(both):
    task = both.tasks["learner"]
    *_, last = baselines.states(baselines.alone(task, 3, 6, 3), 3)
    trajectory.seed_all(3)
    model = task.new_model()
    one = trajectory.Run(task, {n: v.clone() for n, v in model.state_dict().items()}, 3)
    *_, (step, state) = trajectory.sample(one, 18, 18, lambda _step, _loss: None)
    assert step == 18
    assert all(torch.equal(state[n], last[n]) for n in state)


def test_a_schedule_goes_over_each_turn_and_of_a_party_alone_over_all_of_its_steps(both, monkeypatch):
    told = []
    pace = descent.Descent.pace
    monkeypatch.setattr(descent.Descent, "pace", lambda self, steps: (told.append(steps), pace(self, steps))[1])
    scheduled = plan.altered(both.plan.plan, {"training": {"schedule": {"name": "cosine"}}}).plan
    tasks = {role: load.task(both.folder, both.configs[role], scheduled) for role in ("learner", "provider")}
    [*baselines.states(baselines.cyclic(tasks, scheduled, {"learner": 3, "provider": 2}), 2)]
    assert told == [3, 2, 3, 2]
    told.clear()
    [*baselines.states(baselines.alone(tasks["learner"], 3, 4, 2), 2)]
    assert told == [8, 8]


def test_rivals_and_kinds_of_assistance_without_validation_samples_have_no_patience(both):
    changes = {"select_on": "validation", "training": {"patience": 2, "clip": 1.0}}
    patient = plan.altered(both.plan.plan, changes).plan
    assert plan.altered(patient, parties.PLAIN).plan.training == training.Training(clip=1.0)
    kinds = {name: algorithms.agreed(patient, name).plan.training.patience for name in algorithms.ASSISTED}
    assert {name for name, patience in kinds.items() if patience} == {"assisted", "blended+distillation+validation"}


@pytest.mark.parametrize(
    ("loss", "said", "weight"),
    [("cross_entropy", 0, 1), ("binary_cross_entropy", 0, 1), ("binary_cross_entropy", 2.5, 2.5), ("mse", 0.5, 0.5)],
)
def test_with_distillation_is_with_the_plans_or_with_its_losses_default(loss, said, weight):
    agreed = plan.parse(f"{PLAN}\n[distillation]\nweight = {said}\n".encode()).plan.model_copy(update={"loss": loss})
    assert algorithms.agreed(agreed, "blended+distillation").plan.distillation.weight == weight
    assert algorithms.agreed(agreed, "blended").plan.distillation.weight == 0


RIDGE = 'freeze = ["1.*"]\nridge = 0.1\n'
PRIVACY = "[privacy]\nepsilon = 8.0\ndelta = 1e-3\nclip = 1.0\nloss_clip = 5.0\n"


@pytest.mark.parametrize(
    ("field", "of_model", "table"), [("ridge", RIDGE, ""), ("privacy", "", PRIVACY)], ids=["ridge", "privacy"]
)
def test_assisted_alone_has_the_plans_privacy_and_layer_solved_for(field, of_model, table):
    text = PLAN.replace('"model.py:net"\n', f'"model.py:net"\n{of_model}') + table
    played = {name: algorithms.agreed(plan.parse(text.encode()).plan, name).plan for name in algorithms.ASSISTED}
    assert [name for name, by in played.items() if getattr(by, field) is not None] == ["assisted"]


def test_what_each_kind_of_assistance_carries_is_reckoned_by_its_own_plan(place):
    """Under [privacy] a turn has one snapshot where the plan says nothing, and without it two; one layer is solved for."""
    model = MODEL.replace(", nn.BatchNorm1d(16)", "")
    plain = PLAN.replace("sampling_period = 4\n", "")
    solving = plain.replace('"model.py:net"\n', f'"model.py:net"\n{RIDGE}')
    carried = []
    for number, text in enumerate((plain, plain + PRIVACY, solving)):
        split, rng = splits.parse("gamma:0.4"), np.random.default_rng(3)
        whole, agreed = pool.digits(rng).part(150, rng), plan.parse(text.encode())
        both = parties.deal(whole, split, agreed, model.encode(), place / str(number), 3, rng, site_file.Metrics())
        carried.append(cost.measured(both, {"assisted": 1, "blended": 1}, keep=False).carried)
    bare, private, solved = carried
    assert bare["assisted"] == bare["blended"] == private["blended"] > private["assisted"]
    assert solved["blended"] < solved["assisted"]


def test_cyclic_and_fedavg_are_what_the_books_say(both):
    agreed, tasks, steps = both.plan.plan, both.tasks, both.steps
    start = {n: v.clone() for n, v in tasks["learner"].new_model().state_dict().items()}

    def trained(role, state, round_):
        run_ = trajectory.Run(tasks[role], state, baselines.turn_seed(agreed.seed, round_, role))
        *_, (_, last) = trajectory.sample(run_, steps[role], steps[role], lambda _step, _loss: None)
        return last

    there = trained("learner", start, 1)
    back = trained("provider", there, 1)
    (cyclic,) = baselines.states(baselines.cyclic(tasks, agreed, steps), 1)
    assert all(torch.equal(cyclic[n], back[n]) for n in back)
    ends = {role: trained(role, start, 1) for role in ("learner", "provider")}
    n = both.samples
    (mean,) = baselines.states(baselines.fedavg(tasks, agreed, steps, n), 1)
    for name, value in mean.items():
        if value.is_floating_point():
            a, b = (ends[role][name].double() * n[role] for role in ("learner", "provider"))
            torch.testing.assert_close(value.double(), (a + b) / (n["learner"] + n["provider"]), rtol=1e-6, atol=1e-7)
        else:
            assert torch.equal(value, ends[max(n, key=n.get)][name])


def test_the_simulated_exchange_is_the_one_that_the_commands_play(place):
    """Two sites made by hand from what was dealt out end at the same loss."""
    (place / "plan.toml").write_text(PLAN.replace("seed = 7", "seed = 3"))
    whole = pool.digits(np.random.default_rng(3))
    both = parties.deal(
        whole,
        splits.parse("gamma:0.4"),
        plan.load(place / "plan.toml"),
        MODEL.encode(),
        place / "dealt",
        3,
        np.random.default_rng(5),
        site_file.Metrics(),
    )
    play, _ = algorithms.player(both, "assisted")
    simulated = [play(number, None).selected for number in (1, 2)]
    (place / "disk").mkdir()
    for role in ("learner", "provider"):
        data = f"npz:{place}/dealt/{role}.npz"
        assert run(["init", role, "--role", role, "--plan", "plan.toml", "--data", data]) == 0
        assert run(["identity", f"disk/{role}.json", "--site", role]) == 0
    assert run(["pair", "disk/provider.json", "--yes", "--site", "learner"]) == 0
    assert run(["pair", "disk/learner.json", "--yes", "--site", "provider"]) == 0
    by_hand = []
    for number in (1, 2):
        chosen = []
        for sender, receiver in (("learner", "provider"), ("provider", "learner")):
            assert run(["train-local", "--site", sender]) == 0
            assert run(["export", "disk", "--site", sender]) == 0
            (bundle,) = (place / "disk").glob(f"alx-*-r00{number}-{sender}")
            assert run(["import-and-select", str(bundle), "--site", receiver]) == 0
            chosen.append(sites.load(place / receiver).look().position.selected[-1].label)
        by_hand.append(tuple(chosen))
    assert simulated == by_hand


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--baselines", "gossip"], "there is no baseline 'gossip'"),
        (["--data", "npz"], "'npz' names no data"),
        (["--data", "npz:nowhere.npz"], "there is no data at 'nowhere.npz'"),
        (["--split", "column:hospital:north"], "the data have no column 'hospital'"),
        (["--split", "complementary:3,77"], "no sample has the class 77"),
        (["--seeds", "a"], "expected numbers such as"),
        (["--seeds", "5-1"], "'5-1' runs backwards, expected 1-5"),
        (["--out", "."], "is not empty, and no study"),
        (["--out", "plan.toml"], "'plan.toml' is a file"),
        (["--data", "digits", "--held-out", "plan.toml"], "digits keep a fifth apart themselves"),
        (["--split", "gamma:1", "--samples", "2", "--seeds", "0-9"], "leaves the provider without samples with seed"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(place, capsys, arguments, told):
    assert run(["simulate", "plan.toml", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert not (place / "alx-simulation" / "results.json").exists()


def test_a_model_that_is_not_there_or_was_edited_is_refused(played, capsys):
    (played / "model.py").write_text(MODEL.replace("16", "8"))
    assert simulate("--baselines", "cyclic", "--out", "sim") == 2
    assert "another model's file" in capsys.readouterr().err
    (played / "model.py").unlink()
    assert simulate("--out", "new") == 2
    assert "there is no file 'model.py', which the plan names" in capsys.readouterr().err
    assert not (played / "new").exists()


def test_a_folder_that_a_first_write_was_killed_in_is_taken(place):
    (place / "sim").mkdir()
    (place / "sim" / ".study.json.tmp").write_bytes(b"half")
    (place / "sim" / "lock").touch()
    assert simulate("--baselines", "", "--out", "sim") == 0


def test_two_in_one_folder_do_not_meet(played, capsys):
    with files.lock(played / "sim" / "lock"):
        assert simulate("--baselines", "", "--out", "sim") == 19
    assert "another alx command works" in capsys.readouterr().err


def test_what_diverges_is_recorded_and_the_rest_is_played(place, capsys):
    (place / "plan.toml").write_text(PLAN.replace('name = "adam"', 'name = "sgd"').replace("lr = 0.003", "lr = 1e20"))
    assert simulate("--baselines", "centralised,fedavg", "--out", "sim") == 0
    assert "diverged" in capsys.readouterr().out
    found = results(place / "sim")
    assert {len(r.rounds) for r in found.runs} == {2}
    assert all(s.loss is None and s.score is None and s.near == [None] for s in found.summary)
    assert simulate("--baselines", "centralised,fedavg", "--out", "sim") == 0  # reads its own files


def test_a_loss_of_ones_own_needs_the_task_that_brings_it(place, capsys):
    (place / "plan.toml").write_text('loss = "own"\n' + PLAN)
    assert run(["simulate", "plan.toml"]) == 2
    error = capsys.readouterr().err
    assert 'the plan says loss = "own", and no task brings it' in error
    assert "hint: name its file: --task FILE" in error


def test_a_table_is_split_by_its_hospital(place, capsys):
    shutil.copy(generated.ROOT / "examples" / "csv" / "plan.toml", place / "table.toml")
    rng = np.random.default_rng(0)
    rows = ["diagnosis,mean radius,mean texture,mean smoothness,worst concavity,scanner,hospital"]
    for i in range(60):
        sick = i % 2
        scanner, hospital = rng.choice(["north", "south", "mobile"]), "A" if i < 20 else "B"
        name = ("benign", "malignant")[sick]
        rows.append(f"{name},{14 + 3 * sick},{19 + sick},0.09,{0.2 + sick / 5},{scanner},{hospital}")
    (place / "all.csv").write_text("\n".join(rows))
    arguments = ["--data", "csv:all.csv", "--split", "column:hospital:A", "--baselines", "centralised"]
    assert run(["simulate", "table.toml", *arguments, "--out", "sim"]) == 0
    found = results(place / "sim")
    assert (found.dealt[0].learner, found.dealt[0].provider) == (20, 40)
    assert found.runs[0].rounds[-1].score is None
    assert found.summary[0].score is None
    told = capsys.readouterr().out
    assert "accuracy" not in told
    assert "share of labels" not in told
    assert (
        run(
            [
                "simulate",
                "table.toml",
                *arguments[:2],
                "--split",
                "complementary:malignant:0.1",
                "--out",
                "named",
                "--baselines",
                "",
            ]
        )
        == 0
    )
    by_number = ["--split", "complementary:1:0.1", "--out", "numbered", "--baselines", ""]
    assert run(["simulate", "table.toml", *arguments[:2], *by_number]) == 0
    # a signature has a byte more or less, by chance
    named, numbered = (
        [r.model_copy(update={"carried": 0}) for r in results(place / out).runs[0].rounds] for out in ("named", "numbered")
    )
    assert named == numbered
    assert run(["simulate", "table.toml", *arguments[:2], "--split", "complementary:melanoma", "--out", "other"]) == 2
    error = capsys.readouterr().err
    assert "there is no class 'melanoma'" in error
    assert "classes: 0 benign, 1 malignant" in error
    drawn = ["--samples", "2", "--split", "column:hospital:C", "--out", "other"]
    assert run(["simulate", "table.toml", *arguments[:2], *drawn]) == 2
    assert "of 2 samples drawn with seed 0: no sample has 'C' in that column" in capsys.readouterr().err


def test_scores_are_told_by_hospital_beside_the_answer_that_needs_no_model(place, capsys):
    shutil.copy(generated.ROOT / "examples" / "csv" / "plan.toml", place / "table.toml")
    head = "diagnosis,mean radius,mean texture,mean smoothness,worst concavity,scanner,hospital"
    for name, count in (("all", 40), ("kept", 20)):
        rows = [f"{('benign', 'malignant')[i % 4 == 0]},{14 + i % 4},19,0.09,0.2,north,{'AB'[i % 2]}" for i in range(count)]
        (place / f"{name}.csv").write_text("\n".join([head, *rows]))
    arguments = ["--data", "csv:all.csv", "--held-out", "kept.csv", "--split", "column:hospital:A", "--baselines", ""]
    asked = ["simulate", "table.toml", *arguments, "--by", "hospital", "--positive", "malignant", "--out", "sim"]
    assert run(asked) == 0
    told = capsys.readouterr().out
    assert "without a model, the same answer for everybody: 0.750" in told
    assert re.search(r"hospital A +10 +\d\.\d{3}", told)
    found = results(place / "sim")
    last = found.runs[0].rounds[-1]
    assert last.metrics["accuracy"] == last.score
    assert last.metrics["hospital B: sensitivity"] is None  # nobody is ill there
    assert (last.metrics["hospital A: samples"], found.dealt[0].majority["sensitivity"]) == (10.0, 0.0)
    assert run([*asked[:-4], "--by", "ward", "--out", "other"]) == 2
    assert "'kept.csv' has no column 'ward'" in capsys.readouterr().err
    assert run([*asked[:-1], "other", "--threshold", "1.5"]) == 2
    assert "the threshold is 1.5, expected a probability between 0 and 1" in capsys.readouterr().err


def test_an_npzs_further_arrays_are_columns(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"train_images": rng.integers(0, 255, (6, 8, 8), np.uint8), "train_labels": np.arange(6)}
    np.savez(tmp_path / "a.npz", **arrays, train_site=np.array(list("aabbcc")))
    agreed = plan.parse(PLAN.encode()).plan
    whole = pool.read(site_file.named(f"npz:{tmp_path}/a.npz", None), agreed)
    assert whole.decided_by("site").tolist() == list("aabbcc")
    assert whole.images.shape == (6, 8, 8, 1)
    np.savez(tmp_path / "b.npz", **arrays, train_site=np.array(["a"]))
    with pytest.raises(pool.ConfigError, match="train_site of shape"):
        pool.read(site_file.named(f"npz:{tmp_path}/b.npz", None), agreed)


def test_the_digest_of_a_pool_is_of_all_that_is_in_it():
    """A folder of results belongs to it: with other groups to tell scores by, it is another study's."""
    images, labels, wards = np.zeros((4, 2)), np.arange(4), np.array(list("aabb"))
    whole = pool.Pool(images, labels, (images[:2], labels[:2]), {"ward": wards}, None, {"ward": wards[:2]})
    other = {
        "images": images + 1,
        "labels": labels + 1,
        "held_out": (images[:2], labels[2:]),
        "columns": {"ward": wards[::-1]},
        "held_columns": {"ward": wards[1:3]},
    }
    digests = {dataclasses.replace(whole, **{name: value}).digest() for name, value in other.items()}
    assert len(digests | {whole.digest()}) == 1 + len(other)


def test_a_summary_counts_rounds_until_within_a_point_of_centralised():
    def played(algorithm, seed, scores):
        rounds = [Round(round=i, loss=1.0, score=s, carried=5, raw=6, selected=None) for i, s in enumerate(scores, 1)]
        return Run(algorithm=algorithm, seed=seed, rounds=rounds, seconds=1.0)

    found = summarise(
        [
            played("assisted", 0, [0.5, 0.895, 0.8]),
            played("assisted", 1, [0.1, 0.2, 0.3]),
            played("centralised", 0, [0.5, 0.8, 0.9]),
            played("centralised", 1, [0.5, 0.8, 0.9]),
            played("cyclic", 4, [0.9, 0.9, 0.9]),
        ],
        shares=True,
    )
    assert [s.near for s in found] == [[2, None], [3, 3], [None]]
    assert found[0].score.mean == pytest.approx(0.55)
    assert found[0].score.sd == pytest.approx(0.5 / 2**0.5)
    assert found[2].score.sd is None
    assert found[0].carried == 15
