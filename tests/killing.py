"""What `tests/killed.py` runs with the shim loaded: a process that forks at each point of a command, and is killed there.

Each line on stdin is a JSON list: template, work, every, arguments; {} stands for the copy of the template. Each is done in
a fork of this process, which has loaded what commands need, and answered by a line: the points, null where it failed.
"""

import contextlib
import gc
import importlib
import json
import os
import shutil
import sys
import traceback
from pathlib import Path

from alx.cli.main import run
from tests import interrupt


def points(template: Path, work: Path, every: int, arguments: list[str]) -> list[str]:
    """Kill a command at one in `every` points; what it was about to do at each."""
    root = shutil.copytree(template, work / "loaded")
    assert run([a.format(root) for a in arguments]) == 0  # what it loads, no fork has to load again
    shutil.rmtree(root)
    gc.collect()
    gc.freeze()  # a fork shares what the collector does not touch
    root = shutil.copytree(template, work / "count")
    ended = interrupt.counted([root], [a.format(root) for a in arguments], "kill")
    shutil.rmtree(root)
    assert ended.code == 0, ended.told
    found: list[str] = []
    for number in range(1, len(ended.points) + 1, every):
        root = shutil.copytree(template, work / str(len(found)))
        told = interrupt.at_point([root], [a.format(root) for a in arguments], "kill", number).points
        found.append(told[0].replace(f"{root}/", ""))
    return found


def main() -> None:
    """Answer until there is nothing more on stdin."""
    answer = os.dup(1)
    os.dup2(2, 1)
    for module in ("alx.cli.audit", "alx.cli.exchange", "alx.cli.turns", "alx.turns", "alx.tasks.load", "torch._dynamo"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    os.write(answer, b"ready\n")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                template, work, every, arguments = json.loads(line)
                os.write(answer, json.dumps(points(Path(template), Path(work), every, arguments)).encode() + b"\n")
                code = 0
            except BaseException:  # noqa: BLE001 - told, and the parent sees that there is no answer
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        if os.waitpid(pid, 0)[1]:
            os.write(answer, b"null\n")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
