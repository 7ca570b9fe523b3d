"""Copies of a world, each with one command killed at another of the points at which it changes something in it."""

import atexit
import functools
import json
import os
import subprocess
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
    served = _served()
    assert served.stdin is not None
    assert served.stdout is not None
    served.stdin.write(json.dumps([str(template.root), str(work), every, arguments]) + "\n")
    points = json.loads(served.stdout.readline())
    assert points is not None, f"tests.killing failed: {arguments}"
    if counts:
        with Path(counts).open("a") as file:
            file.write(f"{len(points)}\n")
    print(f"{arguments[0]}: killed at {len(points)} points: {', '.join(points)}")  # noqa: T201 - how many there were
    return [(what, World(work / str(i))) for i, what in enumerate(points)]


@functools.cache
def _served() -> subprocess.Popen[str]:
    """One process for all tests of this one: what commands need is loaded once."""
    served = interrupt.serving("tests.killing")
    atexit.register(served.communicate)  # its stdin is closed, and it ends
    return served


def history(world: World, role: str) -> list[tuple[str, object]]:
    return [(e.line.kind, json.loads(e.line.body)) for e in world.state(role).entries]


def leftovers(world: World) -> list[Path]:
    """Anything half-done that is still about."""
    staged = [p for role in ("learner", "provider") for p in world.folder(role).glob("staging/*")]
    return [*staged, *world.root.rglob("*.partial"), *world.root.rglob("*.tmp"), *world.root.rglob("*-journal")]
