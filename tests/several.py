"""Several ranks in forks of this process, over gloo on the loopback: torch is loaded already, so they cost little."""

import json
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist

from alx.learning.task import Task
from alx.plan import parse
from alx.site.site_file import SiteFile
from alx.tasks import crew, ranks
from alx.tasks.orders import Do
from tests.conftest import PLAN, Result

SECONDS = 120  # nothing that ranks do here takes a second


def together(world: int, function: Callable[[ranks.Ranks], Any], seconds: float = SECONDS) -> list[Any]:
    """What the function gives on each rank, as JSON has it; the text of what it raised there instead."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)

        def one(rank: int) -> None:
            store = dist.FileStore(str(place / "store"), world)
            group = ranks.join(ranks.Place(rank, world, rank, world), store)
            (place / str(rank)).write_text(json.dumps(function(group)))
            store.add("done", 1)
            while store.add("done", 0) < world:  # whoever leaves first would be a lost rank to the others
                time.sleep(0.005)

        codes = _ended([_forked(one, rank) for rank in range(world)], seconds)
        assert codes == [0] * world, codes
        return [json.loads((place / str(rank)).read_text()) for rank in range(world)]


def led(world: int, task: Task, do: Callable[[Task], Any]) -> Any:
    """What a function finds on rank 0, given the task as it is done by all ranks."""

    def rank(group: ranks.Ranks) -> Any:
        if group.rank:
            crew.follow(group, lambda *_: task)
            return None
        group.remind(Do.STILL_HERE)
        with crew.led(ranks.Place(0, world, 0, world), None):
            return do(crew.asked(Path.cwd(), SiteFile(role="learner"), parse(PLAN.encode()).plan)(task))

    return together(world, rank)[0]


def commands(world: int, *arguments: object, meddle: Callable[[list[int]], None] = lambda _children: None) -> list[Result]:
    """A command line on each rank, as torchrun would start it, and what each did.

    Args:
        world: how many ranks.
        *arguments: the command's words.
        meddle: called with the processes as soon as they run.
    """
    from alx.cli.main import main  # noqa: PLC0415 - after the fixtures of conftest

    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # the agent's, in torchrun
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)

        def one(rank: int) -> None:
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(place / f"{name}{rank}", os.O_CREAT | os.O_WRONLY), number)
            import sys  # noqa: PLC0415

            sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
            said = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world}
            said |= {"MASTER_ADDR": "nowhere.invalid", "MASTER_PORT": store.port, "TORCHELASTIC_USE_AGENT_STORE": "True"}
            os.environ.update({name: str(value) for name, value in said.items()})
            try:
                main([str(a) for a in arguments])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()

        children = [_forked(one, rank) for rank in range(world)]
        meddle(children)
        codes = _ended(children, SECONDS)
        told = [[(place / f"{name}{rank}").read_text() for name in ("out", "err")] for rank in range(world)]
    return [Result(code, *each) for code, each in zip(codes, told, strict=True)]


def _forked(function: Callable[[int], None], rank: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        function(rank)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:  # noqa: BLE001 - a fork must not go on as the tests
        traceback.print_exc()
    finally:
        os._exit(code)


def _ended(children: list[int], seconds: float) -> list[int]:
    """Exit codes, in order."""
    codes: dict[int, int] = {}
    until = time.monotonic() + seconds
    while len(codes) < len(children):
        for child in children:
            if child not in codes and (found := os.waitpid(child, os.WNOHANG))[0]:
                codes[child] = os.waitstatus_to_exitcode(found[1])
        if time.monotonic() > until:
            for child in set(children) - codes.keys():
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            raise AssertionError(f"ranks hang: those that ended gave {codes}")
        time.sleep(0.005)
    return [codes[child] for child in children]
