"""Every attack that wants memory, imported and audited where there is little to be had: refused by its own class."""

import contextlib
import io
import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests import attacks
from tests.attacks import Attack
from tests.conftest import World, make_world, pair_world
from tests.forge import command, well_told
from tests.limited import MARGIN, limited

BOMBS = [a for a in attacks.every() if a.bomb]
WAYS = ("audit", "import-and-select")


def refused(stage: Callable[[str], World], way: str) -> list[tuple[Attack, int]]:
    """Try all of them; each with the bytes of memory that it took beyond those of the process before.

    Args:
        stage: gives a private copy of the exchange at a stage.
        way: of `WAYS`.
    """
    commands = []
    for attack in BOMBS:
        world = stage(attack.stage[0])
        path = attack.path(world)
        key = world.folder(attack.stage[1]) / "public.pem"
        commands.append(command(world, attack.receiver, path) if way != "audit" else ["audit", str(path), "--key", str(key)])
    done = limited(commands)
    for attack, took in zip(BOMBS, done, strict=True):
        assert took["code"] == attack.exit, f"{attack.name}: {took}"
        well_told(took["err"], *attack.words)
    return [(attack, took["peak"]) for attack, took in zip(BOMBS, done, strict=True)]


def campaign() -> dict[str, object]:
    """All of them, both ways.

    Returns:
        The figures.
    """
    assert {a.stage for a in BOMBS} == {("sent", "learner", 1)}
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as root:
        with contextlib.redirect_stdout(io.StringIO()):
            world = pair_world(make_world(Path(root) / "sent"))
            world.turn("learner")

        def stage(name: str) -> World:
            return World(Path(shutil.copytree(Path(root) / name, Path(root) / str(next(numbers)))))

        took = {way: max(refused(stage, way), key=lambda pair: pair[1]) for way in WAYS}
    peaks = {f"most taken by {way}": f"{peak / 2**20:.0f} MiB ({a.name})" for way, (a, peak) in took.items()}
    return {"bombs": len(BOMBS), "ways": len(WAYS), "allowed": f"{MARGIN >> 20} MiB", "accepted": 0} | peaks
