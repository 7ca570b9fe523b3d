"""The tests of killed commands beside train-local, export and import-and-select, at every point instead of a sample."""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]
FILES = ("rotation", "recovery", "backup", "repair")


def campaign() -> dict[str, object]:
    """Run them; a failure is told by pytest, and ends the campaign."""
    tests = [f"tests/test_{name}.py" for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-k", "killed", *tests],
        capture_output=True, text=True, check=False, cwd=HERE, env=os.environ | {"ALX_EVERY_POINT": "1"},
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    points = [int(n) for n in re.findall(r"killed at (\d+) points", done.stdout)]
    return {"commands": len(points), "points": sum(points), "broken": 0}
