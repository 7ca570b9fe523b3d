"""What needs no torch loads no torch, and works where there is none."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import PLAN

BLOCK = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "gymnasium", "sklearn", "matplotlib"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
from alx.cli.main import run
code = run(sys.argv[1:])
assert not {"torch", "torchvision"} & set(sys.modules)
sys.exit(code)
"""


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["status", "--site", "learner"],
        ["audit", "learner"],
        ["audit", "BUNDLE", "--key", "provider/public.pem"],
        ["report", "learner", "-o", "page.html"],
        ["report", "BUNDLE", "--key", "provider/public.pem", "--json"],
        ["export", "disk", "--site", "provider"],
        ["pair", "disk/provider.json", "--yes", "--site", "learner"],
        ["key", "--help"],
    ],
    ids=lambda c: " ".join(c[:1]),
)
def test_without_torch(stage, command):
    world = stage("finished")
    words = [str(world.bundle("provider", 2)) if w == "BUNDLE" else w for w in command]
    (world.folder("learner") / "key.pem").unlink()  # an auditor has no private key
    done = subprocess.run([sys.executable, "-c", BLOCK, *words], capture_output=True, text=True, check=False, cwd=world.root)
    assert done.returncode == 0, done.stderr


# What takes milliseconds to import, where a whole `alx status` takes some hundred.
SLOW = {"numpy", "zstandard", "securesystemslib", "rich", "concurrent.futures", "sqlite3", "mnemonic"}


@pytest.mark.parametrize(
    ("command", "needs"),
    [
        (["--help"], set()),
        (["status", "--site", "learner"], {"pydantic", "cryptography", "sqlite3"}),
        (["key", "--help"], {"pydantic", "cryptography", "sqlite3"}),
        (
            ["audit", "BUNDLE", "--key", "provider/public.pem"],
            {"pydantic", "cryptography", "numpy", "zstandard", "concurrent.futures"},
        ),
    ],
    ids=lambda c: c[0] if isinstance(c, list) else "",
)
def test_a_command_loads_nothing_slow_that_it_does_not_need(stage, command, needs):
    world = stage("finished")
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from alx.cli.main import main\nmain(sys.argv[1:])"
    )
    words = [str(world.bundle("provider", 2)) if w == "BUNDLE" else w for w in command]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=world.root)
    loaded = set(done.stderr.split())
    assert loaded & (SLOW | {"pydantic", "cryptography"}) == needs


def test_no_plugin_of_pydantic_is_shown_what_is_validated():
    code = "import alx.cli.main, alx.cli.exchange; from pydantic.plugin import _loader; print(list(_loader.get_plugins()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_init_needs_no_torch_where_there_are_no_data_to_look_at(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "task.py").write_text("")
    for name, more in (("a", []), ("b", ["--task", tmp_path / "task.py"])):
        words = ["init", tmp_path / name, "--role", "learner", "--plan", tmp_path / "plan.toml", *more]
        done = subprocess.run([sys.executable, "-c", BLOCK, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "the data were not looked at" in done.stdout


def test_the_auditors_packages_that_the_readme_names_are_enough():
    """Every module that auditing loads belongs to the standard library or to a package of the README's list."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    listed = re.search(r"--no-deps ((?:[\w-]+|\\\n|\s)+)", readme.split("auditor's machine")[1])
    assert listed is not None
    named = {n.replace("-", "_") for n in listed.group(1).replace("\\", " ").split()}
    code = (
        "import sys, alx.cli.audit, alx.cli.main, alx.cli.exchange, alx.cli.report, alx.report.page.html; "
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split()) - set(sys.stdlib_module_names)
    providers = metadata.packages_distributions()
    wanted = {d.lower().replace("-", "_") for m in loaded for d in providers.get(m, [])}
    assert wanted - named <= {"setuptools"}, wanted - named  # of the development environment's own start-up
