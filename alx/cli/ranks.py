"""One command by several processes, as torchrun starts them: rank 0 runs it, and the others help (docs/ranks.md).

The others read no argument but the command's name, touch no site and print nothing: what they have to say, rank 0 says.
"""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from alx.errors import AlxError, RanksError, UsageError, escape

SHARED = ("train-local", "import-and-select")  # the commands that train or measure for hours; others are rank 0's alone


def run(arguments: Sequence[str], alone: Callable[[], int]) -> int:
    """What this process has to do of a command; its exit code.

    Args:
        arguments: of the command line.
        alone: runs it as one process does.

    Raises:
        UsageError: the environment says nothing that torchrun would.
        RanksError: the ranks do not find each other.
    """
    world, rank = _number("WORLD_SIZE", 1), _number("RANK", 0)
    if world <= 1:
        return alone()
    if next((word for word in arguments if not word.startswith("-")), None) not in SHARED:
        return 0 if rank else alone()
    from alx.tasks import ranks  # noqa: PLC0415 - torch

    place = ranks.Place(rank, world, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", world))
    return _follow(place) if rank else _lead(place, alone)


def _number(name: str, otherwise: int) -> int:
    """A whole number out of the environment.

    Raises:
        UsageError: it is none.
    """
    value = os.environ.get(name, str(otherwise))
    if not value.isdecimal():
        raise UsageError(f"{name} in the environment is '{escape(value)}', expected a whole number", "torchrun sets it")
    return int(value)


def _lead(place: Any, alone: Callable[[], int]) -> int:
    """Rank 0."""
    from alx.tasks import crew, meeting  # noqa: PLC0415 - torch

    store = meeting.found(place)
    with crew.led(place, store), meeting.told_to_stop(place):
        return alone()


def _follow(place: Any) -> int:
    """Another rank; 0 whatever happened, as rank 0 has the command's exit code, and torchrun would tell of both."""
    from alx.tasks import code, crew, meeting, ranks  # noqa: PLC0415 - torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's, which rank 0 heeds; this one ends with it
    try:
        store = meeting.found(place)
        if not meeting.begun(store):
            return 0
        group = ranks.join(place, store)
    except (AlxError, RuntimeError):  # rank 0 has met it too
        return 0
    try:
        crew.follow(group, _task)
    except AlxError as error:
        group.fail(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, rank 0 tells it
        group.fail(RanksError(code.told(error)))
    finally:
        group.leave()
    return 0


def _task(folder: Path, site: str, plan: Any) -> Any:
    """The task, as rank 0 made it."""
    from alx.site.site_file import SiteFile  # noqa: PLC0415 - pydantic
    from alx.tasks import load  # noqa: PLC0415 - torch

    return load.task(folder, SiteFile.model_validate_json(site), plan)
