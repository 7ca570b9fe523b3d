"""What `tests/killed.py` runs with the shim loaded: a process that forks at each point of a command, and is killed there.

python -m tests.killing TEMPLATE WORK EVERY COMMAND…      {} stands for the copy of the template
"""

import gc
import json
import os
import shutil
import sys
from pathlib import Path

from alx.cli.main import run
from tests import interrupt


def main(template: Path, work: Path, every: int, arguments: list[str]) -> None:
    answer = os.dup(1)
    os.dup2(2, 1)
    root = shutil.copytree(template, work / "loaded")
    assert run([a.format(root) for a in arguments]) == 0  # what it loads, no fork has to load again
    shutil.rmtree(root)
    gc.collect()
    gc.freeze()  # a fork shares what the collector does not touch
    root = shutil.copytree(template, work / "count")
    ended = interrupt.counted([root], [a.format(root) for a in arguments], "kill")
    shutil.rmtree(root)
    assert ended.code == 0, ended.told
    points = []
    for number in range(1, len(ended.points) + 1, every):
        root = shutil.copytree(template, work / str(len(points)))
        told = interrupt.at_point([root], [a.format(root) for a in arguments], "kill", number).points
        points.append(told[0].replace(f"{root}/", ""))
    os.write(answer, json.dumps(points).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
