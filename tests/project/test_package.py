"""The built wheel, installed without what development needs, does a whole exchange."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests import places
from tests.conftest import OFFLINE, PLAN, make_data

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Modules of the development requirements, by the names they are imported with: not lent to the installed wheel.
DEVELOPMENT = {
    "alx",
    "build",
    "hypothesis",
    "_hypothesis_pytestplugin",
    "importlinter",
    "jsonschema",
    "model_signing",
    "mypy",
    "mypyc",
    "OpenSSL",
    "pytest",
    "_pytest",
    "pytest_timeout",
    "ruff",
    "setuptools",
    "sigstore",
    "tests",
    "xdist",
}
MADE = ("build", "dist", "runs", "wheelhouse", "alx-demo", "data", "shared")  # what else may lie in a checkout
# What a checkout beside it may add to the path of every Python is not lent either.
ALONE = os.environ | {"PYTHONPATH": str(OFFLINE)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built in a folder that has what a clean checkout has: nothing is written into this one, whoever reads it meanwhile."""
    place = tmp_path_factory.mktemp("dist")
    source = place / "source"
    source.mkdir()
    for found in ROOT.iterdir():
        if found.name.startswith(".") or found.name in MADE or found.suffix == ".egg-info":
            continue
        copy = shutil.copytree if found.is_dir() else shutil.copy
        copy(found, source / found.name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, source],
        check=True,
        capture_output=True,
    )
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel):
    """A virtual environment of its own with the wheel in it; the libraries it needs are lent by this one."""
    with tempfile.TemporaryDirectory(dir=places.DISK, prefix="alx-test-") as folder:
        yield install(wheel, Path(folder))


def install(wheel, place):
    """The environment's programs."""
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel], check=True
    )
    packages = next((place / "lib").glob("python*")) / "site-packages"
    lent = place / "lent"
    lent.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if found.name.removesuffix(".py") not in DEVELOPMENT and "editable" not in found.name:
            (lent / found.name).symlink_to(found)
    (packages / "lent.pth").write_text(f"{lent}\n")
    where = subprocess.run(
        [python, "-c", "import alx; print(alx.__file__)"], cwd=place, capture_output=True, text=True, check=True, env=ALONE
    )
    assert Path(where.stdout.strip()).is_relative_to(packages)
    return place / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"alx", f"alx-{PROJECT.get('version', '0.1.0')}.dist-info"}


def test_the_constraints_pin_every_requirement():
    pinned = {
        Requirement(line).name.lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    wanted = [*PROJECT["dependencies"], *(w for group in PROJECT["optional-dependencies"].values() for w in group)]
    assert {Requirement(w).name.lower().replace("_", "-") for w in wanted} <= pinned


# A whole exchange, each command as its line is: what needs torch loads it once.
EXCHANGE = """
import contextlib, io, json, sys
from alx.cli.main import run

def alx(line):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        code = run(line.split())
    assert code == 0, (line, code)
    return told.getvalue()

for role in ("learner", "provider"):
    alx(f"init {role} --role {role} --plan plan.toml --data npz:{role}.npz")
    alx(f"identity disk/{role}.json --site {role}")
for role, other in (("learner", "provider"), ("provider", "learner")):
    alx(f"pair disk/{other}.json --yes --site {role}")
for sender, receiver in (("learner", "provider"), ("provider", "learner")):
    alx(f"train-local --site {sender}")
    told = json.loads(alx(f"export disk --site {sender} --json"))
    alx(f"import-and-select {told['bundle']} --site {receiver}")
alx("best best.safetensors --site learner")
assert "pytest" not in sys.modules
"""


def test_the_installed_wheel_plays_a_whole_exchange(installed, tmp_path):
    def started(*words):
        done = subprocess.run([*words], cwd=tmp_path, capture_output=True, text=True, check=False, env=ALONE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    alx = installed / "alx"
    assert "import-and-select" in started(alx, "--help")
    make_data(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "disk").mkdir()
    started(installed / "python", "-c", EXCHANGE)
    assert (tmp_path / "best.safetensors").is_file()
    assert "round 2 of 2" in started(alx, "status", "--site", "learner")
    started(alx, "audit", "learner")
    started(alx, "report", "learner", "-o", "report.html")
