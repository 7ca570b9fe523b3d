"""The tests of killed commands beside train-local, export and import-and-select, at every point instead of a sample."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[2]
FILES = (
    "steps/test_rotation.py",
    "upkeep/test_recovery.py",
    "upkeep/test_backup.py",
    "steps/test_repair.py",
    "steps/test_parity.py",
    "steps/test_closing.py",
)


def campaign() -> dict[str, object]:
    """Run them; a failure is told by pytest, and ends the campaign."""
    tests = [f"tests/{name}" for name in FILES]
    with tempfile.NamedTemporaryFile("r") as counts:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-k", "killed", *tests],
            capture_output=True,
            text=True,
            check=False,
            cwd=HERE,
            env=os.environ | {"ALX_EVERY_POINT": counts.name},
        )
        points = [int(line) for line in counts]
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    return {"commands": len(points), "points": sum(points), "broken": 0}
