"""Copies of a world, each with one command killed at another of the points at which it changes something in it.

python -m tests.killed TEMPLATE WORK EVERY COMMAND…      inside, with the shim loaded; {} stands for the copy
"""

import importlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests import interrupt
from tests.conftest import World


def killed(template: World, work: Path, *arguments: str, every: int = 1) -> list[tuple[str, World]]:
    """Copies in `work`, each killed at another point, and what the command was about to do; one in `every` points.

    ALX_EVERY_POINT takes every point, as the campaign does, and names a file for their number.
    """
    if interrupt.missing():
        pytest.skip(interrupt.missing())
    counts = os.environ.get("ALX_EVERY_POINT")
    every = 1 if counts else every
    work.mkdir()
    points = json.loads(interrupt.together("tests.killed", str(template.root), str(work), str(every), *arguments))
    if counts:
        with Path(counts).open("a") as file:
            file.write(f"{len(points)}\n")
    print(f"{arguments[0]}: killed at {len(points)} points: {', '.join(points)}")  # noqa: T201 - how many there were
    return [(what, World(work / str(i))) for i, what in enumerate(points)]


def history(world: World, role: str) -> list[tuple[str, object]]:
    return [(e.line.kind, json.loads(e.line.body)) for e in world.state(role).entries]


def leftovers(world: World) -> list[Path]:
    """Anything half-done that is still about."""
    staged = [p for role in ("learner", "provider") for p in world.folder(role).glob("staging/*")]
    return [*staged, *world.root.rglob("*.partial"), *world.root.rglob("*.tmp"), *world.root.rglob("*-journal")]


def main(template: Path, work: Path, every: int, arguments: list[str]) -> None:
    answer = os.dup(1)
    for module in ("alx.cli.exchange", "alx.turns", "alx.steps.outgoing", "alx.tasks.load"):
        importlib.import_module(module)
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
