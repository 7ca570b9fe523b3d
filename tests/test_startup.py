"""What needs no torch loads no torch, and works where there is none."""

import subprocess
import sys

import pytest

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
        ["export", "disk", "--site", "provider"],
        ["pair", "disk/provider.json", "--yes", "--site", "learner"],
    ],
    ids=lambda c: " ".join(c[:1]),
)
def test_without_torch(stage, command):
    world = stage("finished")
    words = [str(world.bundle("provider", 2)) if w == "BUNDLE" else w for w in command]
    (world.folder("learner") / "key.pem").unlink()  # an auditor has no private key
    done = subprocess.run([sys.executable, "-c", BLOCK, *words], capture_output=True, text=True, check=False, cwd=world.root)
    assert done.returncode == 0, done.stderr


def test_init_needs_no_torch(tmp_path, stage):
    plan = stage("paired").root / "plan.toml"
    words = ["init", str(tmp_path / "new"), "--role", "learner", "--plan", str(plan), "--data", "npz:x.npz"]
    done = subprocess.run([sys.executable, "-c", BLOCK, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
