"""Several simulations, some at a time: each is one `alx simulate`, and goes on where it was stopped."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alx.study.results import Results, Spread


def simulate(
    jobs: dict[str, Sequence[str]],
    out: Path,
    at_once: int,
    done: Callable[[str, Results], None] = lambda _name, _found: None,
) -> dict[str, Results]:
    """Run `alx simulate ARGUMENTS --out OUT/NAME` for each name; its lines are printed with the name before them."""
    threads = max(1, (os.cpu_count() or 1) // at_once)
    environment = {"OMP_NUM_THREADS": str(threads)} | os.environ  # who shares the machine may say fewer
    printing = threading.Lock()

    def one(name: str) -> Results:
        command = [sys.executable, "-m", "alx", "simulate", *jobs[name], "--out", str(out / name)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
            for line in process.stdout or ():
                with printing:
                    print(f"{name:<16} {line}", end="", flush=True)
        if process.returncode:
            raise SystemExit(process.returncode)
        found = Results.model_validate_json((out / name / "results.json").read_bytes())
        done(name, found)
        return found

    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(one, name) for name in jobs]
        try:
            found = [job.result() for job in running]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return dict(zip(jobs, found, strict=True))


def cell(value: Spread | None) -> str:
    """A cell of a table."""
    return "diverged" if value is None else value.text(".3f")
