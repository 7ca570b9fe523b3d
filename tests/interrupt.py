"""Faults on purpose: one command run over and over, each time with a fault at the next point at which it changes a disk.

A point is a call into the C library that changes something under given folders (`interrupt.c` lists them), so SQLite's and
Python's are both seen. `together` runs a Python module with that shim loaded; inside it, `at_point` forks the process,
which has imported everything already, for each point: a point costs what the command costs.

Uses no second thread: a forked thread pool would hang.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alx.cli.main import run
from tests import places

HERE = Path(__file__).parents[1]
SOURCE = Path(__file__).with_suffix(".c")
SECONDS = 120  # no command of a tiny world takes as long: it hangs
_COUNT, _KILL, _TORN, _ONCE, _FROM = range(5)
_CHANGES, _READS = range(2)
_ENOSPC, _EIO = 28, 5

# Each mode: what happens at the point, which calls are points, the error, and what a power cut takes beside.
MODES: dict[str, tuple[int, int, int, str]] = {
    "kill": (_KILL, _CHANGES, 0, ""),
    "torn write": (_TORN, _CHANGES, 0, ""),
    "power cut": (_KILL, _CHANGES, 0, "names and bytes"),
    "power cut, names kept": (_KILL, _CHANGES, 0, "bytes"),
    "ENOSPC once": (_ONCE, _CHANGES, _ENOSPC, ""),
    "ENOSPC from there on": (_FROM, _CHANGES, _ENOSPC, ""),
    "EIO once": (_ONCE, _CHANGES, _EIO, ""),
    "EIO from there on": (_FROM, _CHANGES, _EIO, ""),
    "EIO once at a read": (_ONCE, _READS, _EIO, ""),
}


def missing() -> str:
    """Why faults cannot be made on this machine; empty where they can."""
    if sys.platform != "linux":
        return "the shim needs Linux: LD_PRELOAD and /proc"
    return "" if compiler() else "no C compiler to make the shim with"


def compiler() -> str | None:
    """The system's C compiler."""
    return next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)


@contextlib.contextmanager
def shim() -> Iterator[Path]:
    """The compiled shim: made once where a run of tests shares a folder, else for this once."""
    share = os.environ.get("ALX_TESTS_SHARE")
    with contextlib.ExitStack() as stack:
        folder = Path(share or stack.enter_context(tempfile.TemporaryDirectory(dir=places.DISK)))
        library = folder / "interrupt.so"
        with (folder / "interrupt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not library.exists():
                made = folder / "made.so"
                compile_it = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o", made, SOURCE, "-ldl"]
                subprocess.run(compile_it, check=True)
                made.rename(library)
        yield library


def together(module: str, *arguments: str, seconds: float = 3600) -> str:
    """Run a module's command line with the shim loaded.

    Returns:
        What it printed.

    Raises:
        AssertionError: it failed; with what it said.
    """
    with shim() as library:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            cwd=HERE,
            timeout=seconds,
            env=_loaded(library),
        )
    if done.returncode != 0:
        raise AssertionError(f"{module} failed with {done.returncode}")
    return done.stdout


def serving(module: str) -> subprocess.Popen[str]:
    """Start a Python module with the shim loaded, to be asked line by line; it ends with its stdin."""
    with shim() as library:
        served = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=HERE,
            env=_loaded(library),
        )
        assert served.stdout is not None
        ready = served.stdout.readline()  # the shim is loaded, and its file no longer needed
        assert ready == "ready\n", ready
    return served


def _loaded(library: Path) -> dict[str, str]:
    return os.environ | {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}


@dataclass(frozen=True)
class Ended:
    """How a forked process ended.

    Attributes:
        code: its exit code; None where it was killed.
        told: what it printed on both streams.
        points: the points that were noted: all of them while counting, else the one at which the fault was.
    """

    code: int | None
    told: str
    points: list[str]


def forked(job: Callable[[], int], note: int | None = None) -> Ended:
    """Do a job in a copy of this process; what it returns is the exit code, an exception is code 1 and a traceback."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as noted:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(SECONDS)
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                if note is not None:
                    os.dup2(noted.fileno(), note)
                code = job()
            except BaseException:  # noqa: BLE001 - told to the parent
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        status = os.waitpid(pid, 0)[1]
        for file in (said, noted):
            file.seek(0)
        told, points = said.read().decode(errors="replace"), noted.read().decode().splitlines()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        raise AssertionError(f"hung at {points}: {told}")
    return Ended(None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), told, points)


_NOTE = 100  # a descriptor that nothing else has


def counted(roots: Sequence[Path], arguments: Sequence[str], mode: str) -> Ended:
    """Run a command without any fault and note the points at which it would have one."""
    return forked(lambda: _armed(roots, arguments, (_COUNT, MODES[mode][1], 0), 0, None), _NOTE)


def at_point(roots: Sequence[Path], arguments: Sequence[str], mode: str, number: int) -> Ended:
    """Run a command with a fault at one point.

    Args:
        roots: the folders whose changes are points; each a device of its own.
        arguments: the command's.
        mode: out of `MODES`.
        number: of the point, from 1; beyond the last, a power cut comes right after the command has ended.
    """
    what, points, failure, lost = MODES[mode]
    if not lost:
        return forked(lambda: _armed(roots, arguments, (what, points, failure), number, None), _NOTE)
    with tempfile.TemporaryDirectory(dir=roots[0].parent, prefix="durable-") as shadow:
        before = _Durable.survey(roots)
        ended = forked(lambda: _armed(roots, arguments, (what, points, failure), number, Path(shadow)), _NOTE)
        before.cut(roots, Path(shadow), names=lost != "bytes")
    return ended


def _armed(
    roots: Sequence[Path], arguments: Sequence[str], what: tuple[int, int, int], last: int, shadow: Path | None
) -> int:
    shim: Any = ctypes.CDLL(None)
    mode, points, failure = what
    where = ":".join(str(r) for r in roots).encode()
    shim.interrupt_arm(where, str(shadow or "").encode(), mode, points, failure, ctypes.c_long(last), _NOTE)
    return run(list(arguments))


@dataclass(frozen=True)
class _Durable:
    """What was on the disk before the command, all of it durable: files' bytes and folders' names, by inode."""

    files: dict[int, bytes]
    folders: dict[int, dict[str, int]]

    @classmethod
    def survey(cls, roots: Sequence[Path]) -> "_Durable":
        files, folders = {}, {}
        for root in roots:
            for path in (root, *root.rglob("*")):
                if path.is_dir():
                    folders[path.stat().st_ino] = {p.name: p.stat().st_ino for p in path.iterdir()}
                else:
                    files[path.stat().st_ino] = path.read_bytes()
        return cls(files, folders)

    def cut(self, roots: Sequence[Path], shadow: Path, *, names: bool) -> None:
        """Put the disk into the state that a power cut may leave.

        A file has the bytes of its last sync, none if there was none. A folder has the names of its last sync, or,
        where `names` are kept, those that it had. What was moved between folders is in one of them, never in both.
        """
        real = _Durable.survey(roots)
        durable = self._synced(real, shadow)
        files, folders = durable.files, durable.folders if names else real.folders
        homes = {child: folder for folder, children in real.folders.items() for child in children.values()}

        def lives(child: int, folder: int) -> bool:
            home = homes.get(child, folder)
            return home == folder or child not in folders.get(home, {}).values()

        def build(target: Path, folder: int) -> None:
            target.mkdir()
            for name, inode in folders[folder].items():
                if not lives(inode, folder):
                    continue
                if inode in folders:
                    build(target / name, inode)
                else:
                    (target / name).write_bytes(files.get(inode, b""))
                    (target / name).chmod(0o600)

        for root in roots:
            inode = root.stat().st_ino
            made = root.with_name(f".{root.name}.cut")
            build(made, inode)
            shutil.rmtree(root)
            made.rename(root)

    def _synced(self, real: "_Durable", shadow: Path) -> "_Durable":
        """What was durable before, and what was synced since; what is new and was never synced is empty."""
        files = dict.fromkeys(real.files, b"") | self.files
        folders: dict[int, dict[str, int]] = {inode: {} for inode in real.folders} | self.folders
        for kept in shadow.iterdir():
            if kept.suffix != ".names":
                files[int(kept.name)] = kept.read_bytes()
                continue
            lines = [line.split(" ", 2) for line in kept.read_text().splitlines()]
            folders[int(kept.stem)] = {name: int(inode) for inode, _, name in lines}
            for inode, kind, _ in lines:
                if kind == "d":
                    folders.setdefault(int(inode), {})
        return _Durable(files, folders)
