"""Run one command over and over, each time killed at the next point at which it changes something on a disk.

A process of its own: it imports everything once, then forks for every point, so that a point costs what the command
costs. Uses no torch itself before it forks: a forked thread pool would hang.

    python -m tests.killer TEMPLATE WORK EVERY COMMAND…      {} in the command stands for the copy of TEMPLATE

Prints a JSON list: what was about to happen at each point at which a copy in WORK/<number> was killed.
"""

import importlib
import itertools
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch

from alx.cli.main import run


class Points:
    """Counts the changes under a folder; at the last one the process is killed, as by kill -9."""

    def __init__(self, root: Path, last: int, note: int) -> None:
        self._root = str(root)
        self._left = last
        self._note = note
        for name in ("mkdir", "unlink", "rmdir", "rename", "replace", "fsync", "open"):
            setattr(os, name, self._counting(name, getattr(os, name)))
        self._connect = sqlite3.connect
        sqlite3.connect = self._tracing  # type: ignore[assignment]

    def _counting(self, name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def counting(what: Any, *arguments: Any, **named: Any) -> Any:
            where = str(Path(f"/proc/self/fd/{what}").readlink()) if isinstance(what, int) else str(what)
            creates = name != "open" or arguments[0] & os.O_CREAT
            if creates and (where.startswith(self._root) or not where.startswith("/")):
                self._reach(f"{name} {Path(where).name}")
                if name == "fsync" and Path(where).is_file():
                    # once more, with only half of the file having reached the disk
                    self._reach(f"torn {Path(where).name}", lambda: os.truncate(where, Path(where).stat().st_size // 2))
            return really(what, *arguments, **named)

        return counting

    def _tracing(self, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = self._connect(*arguments, **named)
        connection.set_trace_callback(lambda text: text.startswith("SELECT") or self._reach(f"ledger {text[:12]}"))
        return connection

    def _reach(self, what: str, harm: Callable[[], None] = lambda: None) -> None:
        self._left -= 1
        if self._left == 0:
            harm()
            os.write(self._note, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def child(root: Path, last: int, note: int, arguments: list[str]) -> NoReturn:
    """Run the command until the point is reached."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    Points(root, last, note)
    os._exit(run([a.format(root) for a in arguments]))


def main(template: Path, work: Path, every: int, arguments: list[str]) -> None:
    """Kill the command at every `every`-th point."""
    torch.set_num_threads(1)
    for module in ("alx.cli.exchange", "alx.turns", "alx.site.disk", "alx.tasks.load"):
        importlib.import_module(module)
    points = []
    for last in itertools.count(1, every):
        root = work / str(len(points))
        shutil.copytree(template, root)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(root, last, write, arguments)
        os.close(write)
        status = os.waitpid(pid, 0)[1]
        with os.fdopen(read) as note:
            told = note.read()
        if not os.WIFSIGNALED(status):
            if os.WEXITSTATUS(status) != 0:
                sys.exit(f"the command itself failed with {os.WEXITSTATUS(status)}")
            shutil.rmtree(root)
            break
        points.append(told)
    print(json.dumps(points))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
