"""A command line of alx in a fork of this process, which has loaded already what takes seconds to load.

Streams, exit code, signals and the current folder are those of a process of its own.
"""

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

import torch._dynamo  # noqa: F401 - a second and more, loaded by torch itself as it makes an optimiser

import alx.cli.audit
import alx.cli.exchange
import alx.cli.turns
import alx.tasks.load
import alx.turns  # noqa: F401 - torch, once for all commands
from alx.cli.main import main
from tests.conftest import Result

SECONDS = 240  # nothing that is tried may wait for anything: what waits, waits for ever, and what does not may start slowly


def alx_fork(
    *arguments: object,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
    together: bool = False,
    meanwhile: Callable[[int], object] = lambda _pid: None,
) -> Result:
    """Run a command; what it did.

    Args:
        *arguments: its words.
        folder: where it runs; None is here.
        environment: all of it; None is this process's.
        together: what it says on stderr stands in `out`, where it belongs among the rest.
        meanwhile: is called over and over with the number of the process, until it has ended.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            _be([str(a) for a in arguments], folder, environment, out, out if together else err)
        until = time.monotonic() + SECONDS
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise AssertionError(f"it hangs: alx {' '.join(map(str, arguments))}")
            meanwhile(child)
            time.sleep(0.005)
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode("utf-8"))
    return Result(os.waitstatus_to_exitcode(ended[1]), *told)


def _be(
    arguments: list[str], folder: Path | None, environment: dict[str, str] | None, out: IO[bytes], err: IO[bytes]
) -> None:
    """Become the command; never returns."""
    code = 1
    try:
        for number, fd in enumerate((os.open(os.devnull, os.O_RDONLY), out.fileno(), err.fileno())):
            os.dup2(fd, number)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "w" if n else "r", closefd=False) for n in range(3))
        if folder is not None:
            os.chdir(folder)
        if environment is not None:
            os.environ.clear()
            os.environ.update(environment)
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:  # noqa: BLE001 - a fork must not go on as the tests
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
