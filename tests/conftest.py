"""Two small sites and a disk, in the states of an exchange that tests begin from. Own code is never mocked."""

import gc
import os
import random
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from alx.cli.main import run
from alx.records import Role
from alx.site import site as sites
from alx.site.site import Site
from alx.site.site_file import Data, SiteFile
from alx.site.state import SiteState
from alx.steps import new
from tests import heads, officers, places

# After set-up nothing needs a network: neither here nor in any Python process that a test starts.
OFFLINE = Path(__file__).parent / "offline"
runpy.run_path(str(OFFLINE / "sitecustomize.py"))
os.environ["PYTHONPATH"] = os.pathsep.join([str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])])

# The models are tiny: a second thread costs more than it does, far more beside other work. Processes inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

gc.freeze()  # as the first command of a process does; tests/__init__.py


def pytest_configure(config: pytest.Config) -> None:
    """Temporary folders are in memory, unless the user says where; and one folder is the whole run's, all workers'."""
    if places.MEMORY and not config.option.basetemp:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(places.MEMORY))
    if not hasattr(config, "workerinput"):
        shared = tempfile.TemporaryDirectory(dir=places.DISK, prefix="alx-tests-")
        os.environ["ALX_TESTS_SHARE"] = shared.name
        config.add_cleanup(shared.cleanup)


PLAN = """\
name = "tiny"
rounds = 2
round_steps = 12
sampling_period = 2
batch_size = 8
seed = 3

[optimiser]
name = "adam"
lr = 0.01

[model]
source = "alx.tasks.models:mlp"
arguments = { inputs = 4, classes = 3, hidden = 8 }
"""

PRIVATE = PLAN.replace("sampling_period = 2\n", "").replace(
    "[optimiser]", "[privacy]\nepsilon = 3.0\ndelta = 1e-3\nloss_clip = 1.1\nspare = 0\n\n[optimiser]", 1
)


class Plain(Dataset):
    """A data set as people write them: one sample at a time, a label that is a plain number."""

    def __init__(self, data):
        self._data = data

    def __len__(self):
        return len(self._data)

    def __getitem__(self, index):
        x, y = self._data[index]
        return x, int(y)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a fifth of a test process's time is spent waiting for processes that it started."""
    return (os.cpu_count() or 1) + 1


# Files whose tests are few and long: sent to a worker first, so that none of them is what all wait for at the end.
LONG = ("test_paper.py", "test_demo.py", "test_examples.py", "test_simulation.py", "test_interruptions.py", "test_memory.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By file: the long ones, then those with most tests; `make test` keeps this order (`--no-loadscope-reorder`).

    One that needs a GPU is skipped where there is none.
    """
    counts = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        long = LONG.index(item.path.name) if item.path.name in LONG else len(LONG)
        return long, -counts[item.path], str(item.path)

    items.sort(key=place)
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu") is not None:
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class World:
    """Two sites and a disk in one folder; everything in it may be copied elsewhere."""

    root: Path

    @property
    def disk(self) -> Path:
        return self.root / "disk"

    def folder(self, role: Role) -> Path:
        return self.root / role

    def site(self, role: Role) -> Site:
        return sites.load(self.folder(role))

    def state(self, role: Role) -> SiteState:
        """What a site remembers, read now."""
        return self.site(role).look()

    def bundle(self, role: Role, round_: int = 1) -> Path:
        """The bundle of that turn on the disk."""
        (found,) = self.disk.glob(f"alx-*-r{round_:03d}-{role}")
        return found

    def fingerprint(self, role: Role) -> dict[str, bytes]:
        """Every byte of a site's ledger and inbox, by path: a refused bundle must leave this as it was."""
        folder = self.folder(role)
        return {
            str(p.relative_to(folder)): p.read_bytes()
            for p in [folder / "ledger.sqlite", *sorted((folder / "inbox").rglob("*"))]
            if p.is_file()
        }

    def turn(self, role: Role) -> Path:
        """Train and export; the bundle on the disk."""
        assert run(["train-local", "--site", str(self.folder(role))]) == 0
        assert run(["export", str(self.disk), "--site", str(self.folder(role))]) == 0
        return self.bundle(role, self.state(role).position.sealed[-1].round)

    @property
    def closing(self) -> Path:
        """The closing on the disk."""
        (found,) = self.disk.glob("alx-*-closing")
        return found

    def close(self) -> Path:
        """Export the learner's closing; where it lies on the disk."""
        assert run(["export", str(self.disk), "--site", str(self.folder("learner"))]) == 0
        return self.closing

    def take(self, role: Role, bundle: Path) -> int:
        """Import; the exit code."""
        return run(["import-and-select", str(bundle), "--site", str(self.folder(role))])


def make_data(root: Path, seed: int = 0) -> None:
    """Three Gaussian blobs in four dimensions; the learner holds mostly the first, the provider the others."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, 4)) * 2
    for role, shares, count in (("learner", (0.8, 0.1, 0.1), 40), ("provider", (0.1, 0.45, 0.45), 60)):
        y = rng.choice(3, size=count, p=shares)
        x = (centres[y] + rng.normal(size=(count, 4))).astype(np.float32)
        np.savez(root / f"{role}.npz", train_images=x, train_labels=y, test_images=x[:10], test_labels=y[:10])


def make_world(root: Path, plan: str = PLAN) -> World:
    """Two sites, not yet paired."""
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(plan)
    make_data(root)
    for role in ("learner", "provider"):
        config = SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz"))
        new.create(root / role, config, root / "plan.toml")
    return World(root)


def pair_world(world: World) -> World:
    """Introduce and pin both."""
    for role in ("learner", "provider"):
        assert run(["identity", str(world.disk / f"{role}.json"), "--site", str(world.folder(role))]) == 0
    for role, other in (("learner", "provider"), ("provider", "learner")):
        assert run(["pair", str(world.disk / f"{other}.json"), "--yes", "--site", str(world.folder(role))]) == 0
    return world


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What is drawn without a seed of its own is the same in whatever order tests run, and in whichever process."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - what users' code may draw from
    torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session")
def _stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An exchange at its stages, played once."""
    root = tmp_path_factory.mktemp("stages")
    world = pair_world(make_world(root / "now"))

    def keep(name: str) -> None:
        shutil.copytree(world.root, root / name)

    keep("paired")
    bundle = world.turn("learner")
    keep("sent")
    assert world.take("provider", bundle) == 0
    reply = world.turn("provider")
    keep("answered")
    assert world.take("learner", reply) == 0
    bundle = world.turn("learner")
    keep("second")
    assert world.take("provider", bundle) == 0
    assert world.take("learner", world.turn("provider")) == 0
    keep("finished")
    closing = world.close()
    keep("closing")
    assert world.take("provider", closing) == 0
    keep("closed")
    return {path.name: path for path in root.iterdir() if path.name != "now"}


@pytest.fixture(scope="session")
def _waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exchange of its own, under a plan with officers; played once, where it is asked for."""
    world = make_world(tmp_path_factory.mktemp("waiting") / "now", PLAN + officers.NAMED)
    pair_world(world)
    assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
    return world.root


@pytest.fixture(scope="session")
def _told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exchange of its own, under a plan with ridge; played once, where it is asked for."""
    world = pair_world(World(heads.make(tmp_path_factory.mktemp("told") / "now")))
    world.turn("learner")
    return world.root


@pytest.fixture(scope="session")
def _private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exchange of its own, under a plan with [privacy]; played once, where it is asked for."""
    world = pair_world(make_world(tmp_path_factory.mktemp("private") / "now", PRIVATE))
    world.turn("learner")
    return world.root


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], World]:
    """A private copy of the exchange at one stage.

    paired: nobody trained; sent: the learner's round 1 is on the disk; answered: the provider's reply too;
    second: the learner imported it and its round 2 is on the disk; finished: both rounds done; closing: the learner's
    closing is on the disk; closed: the provider imported it.

    Under a plan with officers, of whom two have to agree: waiting: the learner's round 1 is sealed, and nobody has
    approved it; approved: two have, and it is on the disk.

    Under a plan with ridge: told: the learner's round 1 is on the disk, with its moments. Under one with [privacy]: private.
    """

    def copy(name: str) -> World:
        world = World(tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}")
        if name in ("waiting", "approved"):
            shutil.copytree(request.getfixturevalue("_waiting"), world.root)
        elif name in ("told", "private"):
            shutil.copytree(request.getfixturevalue(f"_{name}"), world.root)
        else:
            shutil.copytree(request.getfixturevalue("_stages")[name], world.root)
        if name == "approved":
            officers.approve(world, *officers.KEYS[:2])
            assert run(["export", str(world.disk), "--site", str(world.folder("learner"))]) == 0
        return world

    return copy


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A folder on the ordinary disk, wherever the other folders are."""
    with tempfile.TemporaryDirectory(dir=places.DISK, prefix="alx-test-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def alx(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command line in this process."""

    def command(*arguments: str | Path) -> Result:
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return command


@pytest.fixture
def alx_process() -> Callable[..., Result]:
    """Run a command line in a process of its own."""

    def command(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "alx", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env=env,
            timeout=240,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return command
