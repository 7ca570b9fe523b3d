"""A closing, harmed in every way that takes one step: `every_byte.py` has the ways."""

import contextlib
import io
from pathlib import Path

from tests.campaign import every_byte
from tests.conftest import World


def closed(root: Path) -> tuple[World, Path]:
    """The smallest exchange, played to its end; the closing is on the disk."""
    world, bundle = every_byte.smallest(root)
    with contextlib.redirect_stdout(io.StringIO()):
        for last in (False, True):
            assert world.take("provider", bundle) == 0
            assert world.take("learner", world.turn("provider")) == 0
            bundle = world.close() if last else world.turn("learner")
    return world, bundle


def campaign(every: int = 1) -> dict[str, object]:
    """Try every case, or each `every`th; the figures."""
    return every_byte.campaign(every, closed)
