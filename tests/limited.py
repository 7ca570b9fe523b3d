"""Run command lines where there is little memory, each in a process of its own, and say what each took.

Imports once what the commands need, then forks for each; a fork may take so much address space more than it was born
with (RLIMIT_AS), so that a bomb ends in MemoryError instead of taking it. Without `import-and-select` among the commands
no torch is loaded.

    python -m tests.limited < JSON      {"margin": bytes, "commands": [[...], ...]}

Prints a JSON list of objects: code (None if a signal ended it), err, peak (bytes of resident memory above those that the
process was born with).
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from alx.cli.main import run

MARGIN = 512 << 20  # above what a process with all modules loaded has; a document of the most values takes the most of it


def limited(commands: list[list[str]], margin: int = MARGIN) -> list[dict[str, Any]]:
    """Run commands with little memory, in a process that does it for them; what `main` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.limited"],
        input=json.dumps({"margin": margin, "commands": commands}),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=Path(__file__).parents[1],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(field: str) -> int:
    """A figure of this process out of /proc, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


def child(arguments: list[str], margin: int, err: int) -> int:
    """Run one command; its exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(err, 2)
    most = status("VmSize") + margin
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return run(arguments)


def one(arguments: list[str], margin: int) -> dict[str, object]:
    """Fork, run, wait."""
    with tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as figures:
        pid = os.fork()
        if pid == 0:
            born = status("VmRSS")
            try:
                code = child(arguments, margin, err.fileno())
            except MemoryError:
                code = 1
                os.write(2, b"MemoryError")
            os.write(figures.fileno(), str(max(status("VmHWM") - born, 0)).encode())
            os._exit(code)
        ended = os.waitpid(pid, 0)[1]
        told = []
        for file in (err, figures):
            file.seek(0)
            told.append(file.read().decode("utf-8", "replace"))
    code = os.WEXITSTATUS(ended) if os.WIFEXITED(ended) else None
    return {"code": code, "err": told[0], "peak": int(told[1] or 0)}


def main() -> None:
    """Read what to run from stdin, run it, print what it took."""
    wanted = json.load(sys.stdin)
    modules = ["alx.cli.audit", "alx.cli.exchange", "alx.steps.outgoing"]
    if any(c[0] == "import-and-select" for c in wanted["commands"]):
        modules += ["alx.turns", "alx.tasks.load", "torch._dynamo"]  # the last by torch itself, as it makes an optimiser
    for module in modules:
        importlib.import_module(module)
    print(json.dumps([one(c, wanted["margin"]) for c in wanted["commands"]]))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
