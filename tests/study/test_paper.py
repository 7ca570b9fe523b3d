"""The paper's experiments, made tiny: every script of examples/paper runs, and says what it did."""

import contextlib
import gzip
import io
import itertools
import json
import re
import runpy
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from alx import plan
from alx.cli.main import run
from alx.study.games import CARTPOLE, LUNAR_LANDER
from alx.tasks import models, supervised
from alx.tasks.data import images
from alx.tasks.objective import losses, optimisers

PAPER = Path(__file__).parents[2] / "examples" / "paper"


def tiny(text):
    for name, value in (("max_steps", 12), ("evaluation_episodes", 1), ("batch_size", 20), ("rounds", 2)):
        text = re.sub(rf"(?m)^{name} = \d+", f"{name} = {value}", text)
    return text.replace("{ learner = 20, provider = 20 }", "{ learner = 2, provider = 2 }")


def fewer(path, most, few):
    """Smaller numbers in a copy of a script."""
    text = path.read_text()
    assert text.count(most) == 1
    path.write_text(text.replace(most, few))


@pytest.fixture(scope="module", params=["cartpole", "lunarlander"])
def played(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    shutil.copytree(PAPER, folder / "paper", ignore=shutil.ignore_patterns("__pycache__"))
    agreed = folder / "paper" / request.param / "plan.toml"
    agreed.write_text(tiny(agreed.read_text()))
    fewer(folder / "paper" / "returns.py", "tested=1000, judged=100", "tested=5, judged=2")
    fewer(folder / "paper" / "returns.py", "tested=100, judged=4", "tested=3, judged=1")
    fewer(folder / "paper" / "animations.py", '"cartpole": 500, "lunarlander": 1000', '"cartpole": 20, "lunarlander": 30')
    fewer(folder / "paper" / "animations.py", "range(length + 12)", "range(length + 2)")
    fewer(folder / "paper" / "landings.py", "CAP = 1000", "CAP = 10")
    script(folder, "returns.py", request.param, "--seeds", "3", "--out", "runs")
    return folder, request.param


def attempt(folder, name, *arguments):
    """A script, as a command line of its own would run it, in this process."""
    paper, before = folder / "paper", list(sys.path)
    told, wrong, code = io.StringIO(), io.StringIO(), 0
    siblings = {p.stem for p in paper.glob("*.py")}
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(folder),
        torch.random.fork_rng(devices=[]),
        mpl.rc_context(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(told),
        contextlib.redirect_stderr(wrong),
    ):
        warnings.simplefilter("default")  # as in a process: numbers so small draw a flat line
        patch.setattr(sys, "argv", [f"paper/{name}", *arguments])
        patch.setattr(sys, "path", [str(paper), *before])
        try:
            runpy.run_path(str(paper / name), run_name="__main__")
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
            wrong.write(f"{stop.code}\n")
        finally:
            for module in siblings & sys.modules.keys():  # another test has another copy of them
                del sys.modules[module]
    return subprocess.CompletedProcess([name, *arguments], code, told.getvalue(), wrong.getvalue())


class Here:
    """Stands for a process that would run a command line of alx's: does it here, at once."""

    def __init__(self, command, **_):
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            self.returncode = run(command[command.index("alx") + 1 :])
        self.stdout = io.StringIO(told.getvalue())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def script(folder, name, *arguments):
    done = attempt(folder, name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_algorithm_starts_alike_and_gets_as_many_steps(played):
    folder, game = played
    played_ = json.loads((folder / "runs" / "seed-3.json").read_text())
    assert (played_["game"], played_["seed"], played_["turn"], played_["rounds"]) == (game, 3, 2, 2)
    returns = played_["returns"]
    assert set(returns) == {"start", "AssistPG", "PG", "Learner-PG", "Provider-PG"}
    assert [r["steps"] for r in returns["AssistPG"]] == [4, 8]
    for algorithm in ("PG", "Learner-PG", "Provider-PG"):
        assert [r["steps"] for r in returns[algorithm]] == [2, 4, 6, 8]
    for rows in returns.values():
        for row in rows:
            assert {"learner", "provider", "Test I", "Test II"} <= set(row)
    kept = {p.name for p in (folder / "runs" / "seed-3").iterdir()}
    assert kept == {f"{a}-{r['steps']}.safetensors" for a, rows in returns.items() if a != "start" for r in rows}


def test_a_seed_is_not_played_twice(played):
    folder, game = played
    before = (folder / "runs" / "seed-3.json").read_bytes()
    assert "was played already" in script(folder, "returns.py", game, "--seeds", "3", "--out", "runs")
    assert (folder / "runs" / "seed-3.json").read_bytes() == before


def test_the_gap_is_measured_for_runs_side_by_side(played):
    folder, game = played
    if game != "cartpole":
        return  # real sites, whose commands other tests play
    more = ["--seeds", "3", "--out", "gap"]
    told = script(folder, "gap.py", game, *more)
    (found,) = json.loads((folder / "gap" / "gap.json").read_text())["by_seed"].values()
    assert len(found) == len(re.findall("(?m)^. [A-Zon].* ± ", told)) == 9
    for row in found.values():
        assert len(row["chosen"]) == 4
        assert set(row["Test I"]) == set(row["Test II"]) == {"1", "2"}
    assert script(folder, "gap.py", game, *more) == told[told.index("| algorithm") :]


def test_the_figure_shows_the_numbers_of_the_run(played):
    folder, game = played
    told = script(folder, "figures.py", "runs", "--out", "pictures")
    assert told.count("| 2 | AssistPG |") == 2
    returns = json.loads((folder / "runs" / "seed-3.json").read_text())["returns"]
    drawn = json.loads((folder / "pictures" / f"{game}.json").read_text())["by_seed_and_round"]
    same, papers = drawn.values()
    for rows in (same, papers):
        assert rows["AssistPG"]["Test I"][0][1:] == pytest.approx([r["Test I"] for r in returns["AssistPG"]], abs=1e-3)
    assert same["PG"]["learner"][0][2] == pytest.approx(returns["PG"][-1]["learner"], abs=1e-3)
    assert papers["PG"]["learner"][0][2] == pytest.approx(returns["PG"][1]["learner"], abs=1e-3)
    with Image.open(folder / "pictures" / f"{game}.png") as picture:
        assert picture.size[0] > 1000


def test_restarted_training_is_told_beside_the_rest(played):
    folder, game = played
    told = script(folder, "restarts.py", game, "--seeds", "3", "--out", "runs")
    assert "| 2 | Cyclic-PG |" in told
    found = json.loads((folder / "runs" / "restarts-3.json").read_text())
    assert [len(rows) for rows in found.values()] == [2, 2]


def test_plays_are_drawn(played):
    folder, game = played
    script(folder, "animations.py", "runs", "--seed", "3", "--out", "pictures")
    moving = sorted(p.name for p in (folder / "pictures").glob("*.gif"))
    assert len(moving) == 6
    for name in moving:
        with Image.open(folder / "pictures" / name) as picture:
            assert picture.n_frames > 2
    if game == "lunarlander":
        told = script(folder, "landings.py", "runs", "--seed", "3", "--out", "pictures")
        assert told.count("by_round: ") == 24  # four powers, two rounds, three policies
        assert told.count("by_test: ") == 24
        flown = json.loads((folder / "pictures" / "landings.json").read_text())
        assert {f["end"] for f in flown["by_round"]} <= {"landed", "standing", "crashed or left", "still up"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plane")
    shutil.copytree(PAPER, folder / "paper", ignore=shutil.ignore_patterns("__pycache__"))
    agreed = folder / "paper" / "classifier" / "plan.toml"
    agreed.write_text(agreed.read_text().replace("= 200", "= 24"))
    return folder


def test_the_regression_goes_towards_the_oracle_and_then_swings_about_it(plane):
    told = script(plane, "assisted_regression.py", "--out", "pictures")
    found = json.loads((plane / "pictures" / "regression.json").read_text())
    assert (found["a"], found["b"], found["oracle"]) == ([-1, -1], [1, -1.25], [0, -1.125])
    rounds = found["rounds"]
    assert [r["round"] for r in rounds] == list(range(11))
    assert [r["rate"] for r in rounds[1:]] == [pytest.approx(0.9**r) for r in range(1, 11)]
    losses = [r["loss"] for r in rounds]
    assert losses == sorted(losses, reverse=True)
    side = [r["theta"][0] > 0 for r in rounds[1:]]
    assert all(before != after for before, after in itertools.pairwise(side))
    # one gradient step on half the square goes the rate's share of the way: from theta^0 to the learner's optimum
    assert rounds[1]["start_chosen"] == "t=1"
    assert rounds[1]["start"] == pytest.approx([0.1 * 0.5 - 0.9, 0.1 * 2 - 0.9])
    assert told.count("\n| ") == 11
    with Image.open(plane / "pictures" / "regression.png") as picture:
        assert picture.size[0] > 1000


def test_the_classifier_that_was_stopped_goes_on(plane):
    told = script(plane, "assisted_classifier.py", "--seeds", "3", "--out", "pictures")
    before = json.loads((plane / "pictures" / "classifier.json").read_text())["seeds"]["3"]
    names = {"learner alone", "provider alone", "oracle", "round 1", "round 2", "round 3"}
    assert set(before) == names
    assert all(f"| {name} | " in told for name in names)
    assert (
        before["round 1"]["loss"] >= before["round 2"]["loss"] >= before["round 3"]["loss"] >= before["oracle"]["loss"] * 0.9
    )
    assert before["learner alone"]["accuracy"] < before["round 3"]["accuracy"]
    drawn = (plane / "pictures" / "classifier.svg").read_bytes()
    told = script(plane, "assisted_classifier.py", "--seeds", "3-4", "--out", "pictures")
    assert "seed 4: " in told
    assert "seed 3: " not in told
    assert json.loads((plane / "pictures" / "classifier.json").read_text())["seeds"]["3"] == before
    assert (plane / "pictures" / "classifier.svg").read_bytes() == drawn
    with Image.open(plane / "pictures" / "classifier.png") as picture:
        assert picture.size[0] > 1000


def test_a_classifier_of_another_plan_is_not_mixed_in(plane):
    kept = plane / "other" / "classifier.json"
    kept.parent.mkdir()
    kept.write_text(json.dumps({"plan": "another", "seeds": {}}))
    done = attempt(plane, "assisted_classifier.py", "--seeds", "3", "--out", "other")
    assert done.returncode == 1
    assert "made with another plan" in done.stderr


def test_the_classifiers_points_are_the_papers():
    sys.path.insert(0, str(PAPER))
    try:
        import assisted_classifier  # noqa: PLC0415 - a script, on no path of its own
    finally:
        sys.path.remove(str(PAPER))
    inputs, labels = assisted_classifier.points(np.random.default_rng(0), 20_000)
    for label, centre in ((0, (-1, 1)), (1, (1, -1))):
        assert inputs[labels == label].mean(0) == pytest.approx(centre, abs=0.05)
        assert inputs[labels == label].std(0) == pytest.approx((1.5, 1.5), abs=0.05)
    parts = assisted_classifier.parts()
    assert [sum(parts["learner"] < 50), sum(parts["learner"] >= 50)] == [45, 5]
    assert [sum(parts["provider"] < 50), sum(parts["provider"] >= 50)] == [5, 45]
    assert sorted([*parts["learner"], *parts["provider"]]) == list(range(100))
    assert pytest.approx(0.8271, abs=1e-4) == assisted_classifier.BAYES


def test_the_plans_are_the_papers():
    regression = plan.load(PAPER / "regression" / "plan.toml").plan
    assert (regression.rounds, regression.optimiser.lr) == (10, 0.9)
    assert regression.steps("learner", 1, 1) == regression.steps("provider", 1, 1) == 10
    assert regression.candidates == plan.load(PAPER / "classifier" / "plan.toml").plan.candidates == "trajectory"
    for name, rounds, hidden, cap in (("cartpole", 10, 4, 500), ("lunarlander", 5, 32, 1000)):
        agreed = plan.load(PAPER / name / "plan.toml").plan
        assert agreed.rounds == rounds
        assert agreed.steps("learner", 1, 1) == agreed.steps("provider", 1, 1) == 20
        assert agreed.schedule("learner", 1, 1) == [0, 4, 8, 12, 16, 20]
        assert agreed.model.arguments["hidden"] == hidden
        assert (agreed.optimiser.name, agreed.optimiser.lr, agreed.batch_size) == ("adam", 0.005, 32)
        assert (agreed.settings["discount"], agreed.settings["max_steps"]) == (0.99, cap)
        assert agreed.candidates == "trajectory"


def test_the_draws_are_the_papers():
    for game, environments, learner, provider, test in (
        (CARTPOLE, 5, (4, 5), (0, 1), (0, 5)),
        (LUNAR_LANDER, 10, (10, 15), (35, 40), (10, 40)),
    ):
        values = game.values(7)
        assert values == game.values(7) != game.values(8)
        assert values["pooled"] == values["learner"] + values["provider"]
        assert len(values["learner"]) == len(values["provider"]) == environments
        assert learner[0] <= min(values["learner"]) <= max(values["learner"]) <= learner[1]
        assert provider[0] <= min(values["provider"]) <= max(values["provider"]) <= provider[1]
        one, two = (game.test(name, 7, 20_000) for name in ("Test I", "Test II"))
        low, high = test
        assert low <= min(one) <= max(one) <= high
        assert sum(one) / len(one) == pytest.approx((low + high) / 2, rel=0.02)
        assert sum(two) / len(two) == pytest.approx(low + (high - low) * 5 / 6, rel=0.01)  # the mean of Beta(5, 1)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A copy of the scripts, and a folder with something like CIFAR-10 and MNIST in it."""
    folder = tmp_path_factory.mktemp("deep")
    shutil.copytree(PAPER, folder / "paper", ignore=shutil.ignore_patterns("__pycache__"))
    for plan_file in [
        p for room in ("deep/small", "stall", "trips", "shift") for p in (folder / "paper" / room).glob("*.toml")
    ]:
        text = plan_file.read_text()
        for name, value in (("rounds", 1), ("round_steps", 4), ("sampling_period", 2), ("batch_size", 8)):
            text = re.sub(rf"(?m)^{name} = \d+", f"{name} = {value}", text)
        text = re.sub(r"width = \d+, hidden = \d+", "width = 2, hidden = 16", text)
        plan_file.write_text(text if "[disclosure]" in text else f"{text}\n[disclosure]\nleast = 1\n")
    fewer(folder / "paper" / "deep.py", "(0.0, 0.3, 0.7, 1.0)", "(0.0, 1.0)")
    fewer(folder / "paper" / "stall.py", '"digits": []', '"digits": ["--samples", "200"]')
    rng = np.random.default_rng(0)
    (folder / "data" / "mnist").mkdir(parents=True)
    labels = {"train": np.repeat(np.arange(10), 6), "test": np.repeat(np.arange(10), 2)}
    pixels = {k: rng.integers(0, 255, (len(v), 32, 32, 3), np.uint8) for k, v in labels.items()}
    arrays = {f"{k}_images": pixels[k] for k in labels} | {f"{k}_labels": labels[k] for k in labels}
    np.savez(folder / "data" / "cifar10.npz", **arrays)
    for file, k in (("train", "train"), ("t10k", "test")):
        grey = pixels[k][:, :28, :28, 0]
        (folder / "data" / "mnist" / f"{file}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + grey.tobytes()))
        (folder / "data" / "mnist" / f"{file}-labels-idx1-ubyte").write_bytes(
            bytes(8) + labels[k].astype(np.uint8).tobytes()
        )
    return folder


def test_the_small_edition_is_played_drawn_and_tabled(shelf, monkeypatch):
    told = script(shelf, "parts.py", "data", "--out", "parts")
    assert "cifar10-small.npz: 60 training images, 20 for the test" in told
    assert "mnist-small.npz: 60 training images, 20 for the test" in told
    monkeypatch.setattr(subprocess, "Popen", Here)
    told = script(
        shelf,
        "deep.py",
        "small",
        "--data",
        "parts",
        "--figures",
        "3",
        "7",
        "--seeds",
        "0-1",
        "--jobs",
        "1",
        "--out",
        "runs/small",
    )
    assert "Fig. 7: small AlexNet on CIFAR-10, sampling periods" in told
    made = json.loads((shelf / "runs" / "small" / "results.json").read_text())
    assert sorted(made) == sorted([f"fig{n}-gamma{g}" for n in (3, 7) for g in (0, 1)])
    assert {d["learner"] for d in made["fig3-gamma1"]["dealt"]} == {30}
    assert {d["provider"] for d in made["fig3-gamma0"]["dealt"]} == {30}
    rows = [line for line in told.splitlines() if line.startswith(("| 0", "| 1"))]
    losses = [line for line in told.splitlines() if re.match(r"\| [37] \| ", line)]
    assert [len(row.split("|")) for row in losses] == [2 + 9] * (2 + 2)
    assert "rounds: provider" in told
    assert len(rows) == 2 + 2
    assert all("±" in row for row in rows)
    for name in ("fig3", "fig7"):
        with Image.open(shelf / "runs" / "small" / f"{name}.png") as picture:
            assert picture.size[0] > 700
        assert (shelf / "runs" / "small" / f"{name}.svg").is_file()


def test_what_each_trip_brings_is_played_kept_and_tabled(shelf, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Here)
    asked = [
        "--only",
        "wine-dirichlet",
        "cifar10-5",
        "--seeds",
        "5",
        "6",
        "--jobs",
        "1",
        "--kept",
        "kept",
        "--out",
        "runs/trips",
    ]
    told = script(shelf, "trips.py", *asked)
    assert "cifar10-5: left out, as there is no cifar10.npz" in told
    rows = [line for line in told.splitlines() if line.startswith(("| blends", "| **blends", "| FedAvg", "| pooled"))]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [
        "blends",
        "**blends, distillation**",
        "FedAvg",
        "FedAvg, distillation",
        "pooled",
    ]
    assert all("±" in row for row in rows)
    assert (shelf / "kept" / "wine-dirichlet.json").is_file()
    monkeypatch.undo()
    again = script(shelf, "trips.py", *asked)  # nothing is played: no process could be started here in its place
    assert again.splitlines()[0] == "wine-dirichlet: seeds 5, 6 are kept"
    assert all(row in again for row in rows)


@pytest.mark.parametrize("target", ["paper-small", "paper-stall"])
def test_data_that_are_not_there_are_missed_before_anything_is_played(target, tmp_path):
    command = ["make", "--no-print-directory", target, f"DATA={tmp_path / 'nowhere'}"]
    done = subprocess.run(command, cwd=PAPER.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"as in make {target} DATA=folder" in done.stderr
    assert "cifar10.npz" in done.stderr
    assert not done.stdout


def test_parts_says_what_is_missing(shelf):
    done = attempt(shelf, "parts.py", "nowhere", "--out", "none")
    assert done.returncode == 1
    assert done.stderr == "there is neither cifar10.npz nor torchvision's cifar-10-batches-py in 'nowhere'\n"


def test_the_stall_is_played_drawn_and_tabled(shelf, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Here)
    told = script(shelf, "stall.py", "digits", "--minors", "0.1", "--seeds", "0", "--out", "runs/stall")
    assert "| test accuracy: share of the other's | learner alone | provider alone | pooled |" in told
    assert "never left the first model: 10%: " in told
    made = json.loads((shelf / "runs" / "stall" / "stall-digits.json").read_text())
    assert {r["algorithm"] for r in made["0.1"]["runs"]} == {
        "assisted",
        "paper",
        "centralised",
        "learner-only",
        "provider-only",
        "cyclic",
        "fedavg",
    }
    assert (shelf / "runs" / "stall" / "stall-digits.png").is_file()


def test_a_simulation_that_fails_ends_the_script_with_its_exit_code(shelf, capfd):
    """In a process of its own, as all are that people start; above they are played in this one."""
    options = ("--data", "npz:nowhere.npz", "--minors", "0.1", "--seeds", "0")
    done = attempt(shelf, "stall.py", "cifar10", *options, "--out", "runs/none")
    assert done.returncode == 2
    assert "there is no data at 'nowhere.npz'" in capfd.readouterr().err
    assert not (shelf / "runs" / "none" / "stall-cifar10.md").exists()


def full_size(number):
    return plan.load(PAPER / "deep" / f"fig{number}.toml").plan


def trained_by(agreed):
    """What a step of it depends on, but for how bright its images are."""
    return agreed.model, agreed.loss, agreed.optimiser, agreed.training


@pytest.mark.parametrize("number", range(3, 9))
def test_a_full_size_plan_is_the_papers(number):
    agreed = full_size(number)
    assert (agreed.rounds, agreed.round_steps, agreed.batch_size, agreed.candidates) == (10, 2000, 256, "trajectory")
    assert agreed.sampling_period == (20 if number > 6 else 50)
    assert (agreed.optimiser.name, agreed.optimiser.lr) == ("adam", 0.001)
    assert [agreed.steps("learner", n, 25000) for n in (2500, 9250, 18250, 25000)] == [182, 540, 844, 1000]
    assert trained_by(agreed) == trained_by(full_size(3 if number % 2 else 4))


@pytest.mark.parametrize(("number", "weights"), [(3, 23_272_266), (4, 11_173_962)])
def test_the_model_of_a_full_size_plan_takes_a_step(number, weights):
    """AlexNet is that of figures 3, 5 and 7, ResNet-18 that of 4, 6 and 8: above."""
    agreed = full_size(number)
    torch.manual_seed(0)
    model = models.find(agreed.model, PAPER)()
    assert sum(p.numel() for p in model.parameters()) == weights
    data = images.NormalisedImages(
        torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8), torch.arange(4), agreed.images.mean, agreed.images.std
    )
    task = supervised(
        lambda: model, data, losses(agreed.loss), optimisers("adam", {"lr": 1e-3}), batch_size=2, training=agreed.training
    )
    assert task.trainer(model, 1).step() > 0


def test_batch_norm_at_home_is_played_beside_batch_norm_shared(shelf):
    told = script(shelf, "shift.py", "--data", "data/cifar10.npz", "--samples", "40", "--rounds", "1", "--seeds", "0")
    rows = [line.split("|")[1].strip() for line in told.splitlines()[2:]]
    norms = ("batch norm at home", "batch norm shared")
    assert rows == [*(f"alx, {n}" for n in norms), "each alone", *(f"federated averaging, {n}" for n in norms)]
    assert (
        script(shelf, "shift.py", "--data", "data/cifar10.npz", "--rounds", "1", "--seeds", "0") == told
    )  # not played again
