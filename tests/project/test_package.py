"""The built wheel, installed without what development needs, does a whole exchange in separate processes."""

import json
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import PLAN, make_data

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Modules of the development requirements, by the names they are imported with: not lent to the installed wheel.
DEVELOPMENT = {
    "alx", "build", "hypothesis", "_hypothesis_pytestplugin", "importlinter", "jsonschema", "model_signing", "mypy",
    "mypyc", "OpenSSL", "pytest", "_pytest", "pytest_timeout", "ruff", "setuptools", "sigstore", "tests",
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT], check=True, capture_output=True
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A virtual environment of its own with the wheel in it; the libraries it needs are lent by this one."""
    place = tmp_path_factory.mktemp("venv")
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
        [python, "-c", "import alx; print(alx.__file__)"], cwd=place, capture_output=True, text=True, check=True
    )
    assert Path(where.stdout.strip()).is_relative_to(packages)
    return place / "bin" / "alx"


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


def test_the_installed_wheel_plays_a_whole_exchange(installed, tmp_path):
    def alx(*words):
        done = subprocess.run([installed, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "import-and-select" in alx("--help")
    make_data(tmp_path)
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "disk").mkdir()
    for role in ("learner", "provider"):
        alx("init", role, "--role", role, "--plan", "plan.toml", "--data", f"npz:{role}.npz")
        alx("identity", f"disk/{role}.json", "--site", role)
    for role, other in (("learner", "provider"), ("provider", "learner")):
        alx("pair", f"disk/{other}.json", "--yes", "--site", role)
    for sender, receiver in (("learner", "provider"), ("provider", "learner")):
        alx("train-local", "--site", sender)
        told = json.loads(alx("export", "disk", "--site", sender, "--json"))
        alx("import-and-select", told["bundle"], "--site", receiver)
    assert "round 2 of 2" in alx("status", "--site", "learner")
    alx("audit", "learner")
    alx("best", "best.safetensors", "--site", "learner")
