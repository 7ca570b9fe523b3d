"""Every example is played: the commands of its README and a round of examples/README.md, in a copy of its folder."""

import difflib
import gzip
import importlib.util
import os
import re
import runpy
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from alx.cli.main import run
from alx.site import site as sites
from alx.tasks import torchvision_cpu

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NAMES = (
    "npz",
    "images",
    "csv",
    "hospitals",
    "torchvision",
    "frozen",
    "lora",
    "own_model",
    "own_task",
    "own_loop",
    "lightning",
    "hugging_face",
    "own_environment",
)
# What an example needs that alx does not: its extra, and the package that tells whether it is there.
NEEDED = {
    "lora": ("lora", "peft"),
    "lightning": ("lightning", "lightning"),
    "hugging_face": ("hugging-face", "transformers"),
}
# An example that is a script after a few edits: how many, imports aside.
EDITS = {"own_task": 2, "own_loop": 3, "lightning": 2, "hugging_face": 1}


@pytest.fixture(autouse=True)
def _one_thread():
    """Two cores shared with others: threads that wait for each other make small steps ten times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Of those that take longest a part is played: fewer steps, or fewer models to measure.
SHORTER = {
    "own_environment": {
        "batch_size = 8\n": 'batch_size = 4\ncandidates = "trajectory"\n',
        "{ learner = 8, provider = 8 }": "{ learner = 4, provider = 4 }",
        "evaluation_episodes = 4": "evaluation_episodes = 1",
    },
    "torchvision": {"round_steps = 200": "round_steps = 40"},
    "npz": {"round_steps = 200": "round_steps = 60"},
    "images": {"round_steps = 200": "round_steps = 60"},
    "frozen": {"round_steps = 60": "round_steps = 20"},
    "own_loop": {"round_steps = 200": "round_steps = 60"},
    "hugging_face": {"round_steps = 100": "round_steps = 40"},
}


def playable(name):
    """An example, skipped where its extra is missing; what that warns of is not ours."""
    extra, package = NEEDED.get(name, ("", "torch"))
    missing = importlib.util.find_spec(package) is None
    marks = [
        pytest.mark.skipif(missing, reason=f"needs alx[{extra}]"),
        *([pytest.mark.filterwarnings("ignore")] if name in NEEDED else []),
    ]
    return pytest.param(name, marks=marks)


def commands(readme):
    """The lines of a README's shell blocks; where it says that one round is played, those of examples/README.md."""
    blocks = re.findall(
        r"^(Then \[one round\])|^```sh\n(.*?)^```", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [
        line for a_round, block in blocks for line in (commands(EXAMPLES / "README.md") if a_round else block.splitlines())
    ]


def play(line, monkeypatch):
    """One line of a README, in this process and the current folder."""
    program, *arguments = shlex.split(line)
    arguments = [str(next(Path().glob(a))) if "*" in a else a for a in arguments]
    if program == "alx":
        assert run(arguments) == 0, line
    elif program == "python":
        torchvision_cpu.declare()  # a script imports torchvision as ever
        monkeypatch.setattr(sys, "argv", arguments)
        monkeypatch.syspath_prepend(Path.cwd())  # as Python itself does
        runpy.run_path(arguments[0], run_name="__main__")
    elif program == "mkdir":
        Path(arguments[0]).mkdir()
    elif program == "cp":
        shutil.copy(*arguments)
    elif program == "printf":
        subprocess.run(["bash", "-c", line], check=True)
    else:
        pytest.fail(f"a README has a command that this test does not know: {line}")


def bring_mnist(folder):
    """A little MNIST, as a user would carry it: scikit-learn's digits in MNIST's size and format."""
    digits = load_digits()
    images = np.kron(np.round(digits.images * (255 / 16)).astype(np.uint8), np.ones((1, 3, 3), np.uint8))
    images = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, chosen in (("train", slice(0, 300)), ("t10k", slice(300, 360))):
        for what, array in (("images-idx3", images[chosen]), ("labels-idx1", digits.target[chosen])):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (raw / f"{part}-{what}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def losses(folder):
    """The global loss at theta^0, and at each selection of the round in order."""
    provider, learner = (sites.load(folder / role).look().position.selected[-1] for role in ("provider", "learner"))
    own = provider.own[0] or provider.at_least[0]  # dropped early, it is larger still
    return provider.signed[0] + own, provider.global_loss, learner.global_loss, learner


@pytest.mark.parametrize("name", [playable(name) for name in NAMES])
def test_an_example_is_played_as_its_readme_says_its_global_loss_falls_and_its_data_are_the_same_again(
    name, tmp_path, monkeypatch
):
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    if name == "torchvision":
        bring_mnist(folder / "mnist")
    plan = folder / "plan.toml"
    for said, shorter in SHORTER.get(name, {}).items():
        assert said in plan.read_text()
        plan.write_text(plan.read_text().replace(said, shorter))
    for line in commands(EXAMPLES / name / "README.md"):
        play(line, monkeypatch)
    start, there, back, body = losses(folder)
    assert back <= there <= start
    assert back < start
    assert body.flags.start_sent is True
    assert not body.flags.loss_rose
    assert (folder / "best.safetensors").is_file()
    assert run(["audit", "learner"]) == 0
    if name not in ("torchvision", "own_environment"):  # MNIST is carried there; an environment has no data
        again = shutil.copytree(EXAMPLES / name, tmp_path / "again", ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.chdir(again)
        monkeypatch.syspath_prepend(again)
        monkeypatch.setattr(sys, "argv", ["make_data.py"])
        runpy.run_path("make_data.py", run_name="__main__")
        files = [p.relative_to(again) for p in again.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        made = [p for p in files if not (EXAMPLES / name / p).exists()]
        assert made
        assert all(_content(again / p) == _content(folder / p) for p in made)


def _content(path):
    """An .npz holds the time it was written."""
    if path.suffix != ".npz":
        return path.read_bytes()
    with np.load(path) as arrays:
        return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


def test_the_real_mnist_is_dealt_out_to_two_sites(tmp_path, monkeypatch):
    files = Path(os.environ.get("DATA", "nowhere")) / "raw"
    if not files.is_dir():
        pytest.skip("the real MNIST's files are not at hand: DATA=folder, with raw/*.gz in it")
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in files.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_data.py", "mnist"])
    runpy.run_path(str(EXAMPLES / "torchvision" / "make_data.py"), run_name="__main__")
    counts = []
    for role in ("learner", "provider"):
        labels = (tmp_path / "data" / role / "MNIST" / "raw" / "train-labels-idx1-ubyte").read_bytes()[8:]
        counts.append(np.bincount(np.frombuffer(labels, np.uint8)))
    assert 60_000 < sum(c.sum() for c in counts) < 66_000
    assert min(counts[0][:5]) > 5000
    assert max(counts[0][5:]) < 500


def test_every_example_is_in_the_list_and_none_is_left_out():
    listed = re.findall(r"^\| \[(\w+)\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(NAMES)
    assert sorted(p.name for p in EXAMPLES.iterdir() if p.is_dir()) == sorted([*NAMES, "paper"])
    for name in NAMES:
        files = {p.name for p in (EXAMPLES / name).iterdir()}
        assert {"plan.toml", "README.md", "task.py" if name == "own_environment" else "make_data.py"} <= files
        assert len((EXAMPLES / name / "README.md").read_text(encoding="utf-8").splitlines()) <= 35


def test_the_script_that_a_task_is_made_of_runs_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in ("make_data.py", "script.py learner.csv"):
        script, *rest = line.split()
        monkeypatch.setattr(sys, "argv", [script, *rest])
        runpy.run_path(str(EXAMPLES / "own_task" / script), run_name="__main__")
    assert torch.load(tmp_path / "model.pt", weights_only=True)


@pytest.mark.parametrize(
    ("page", "name"),
    [("tasks", "own_task"), ("scripts", "own_loop"), ("lightning", "lightning"), ("hugging-face", "hugging_face")],
)
def test_a_page_shows_the_script_and_the_task_of_its_example(page, name):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert shown == [(EXAMPLES / name / file).read_text(encoding="utf-8") for file in ("script.py", "task.py")]


def test_the_page_on_tasks_shows_the_environment_of_the_example():
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    shown, *_states = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown == (EXAMPLES / "own_environment" / "task.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EDITS)
def test_a_task_is_at_most_three_edits_away_from_the_script(name):
    """Imports and indentation aside: places where lines were changed, taken out or put in."""
    script, task = (
        [line.strip() for line in (EXAMPLES / name / file).read_text(encoding="utf-8").splitlines()]
        for file in ("script.py", "task.py")
    )
    changed = [
        script[a:b] + task[c:d]
        for tag, a, b, c, d in difflib.SequenceMatcher(None, script, task, autojunk=False).get_opcodes()
        if tag != "equal"
    ]
    edits = [each for each in changed if not all(re.match("(import|from) |$", line) for line in each)]
    assert len(edits) == EDITS[name] <= 3
