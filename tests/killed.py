"""Copies of a world, each with one command killed at another of the points at which it changes something in it."""

import json
import os
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
    points = json.loads(interrupt.together("tests.killing", str(template.root), str(work), str(every), *arguments))
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
