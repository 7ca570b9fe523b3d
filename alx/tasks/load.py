"""From plan and site file to a Task.

Knows where things are named; the work is done by `data`, `models` and `supervised`, or by the user's `make_task`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from alx.errors import ConfigError
from alx.learning.task import Task
from alx.plan import Plan, Scalar
from alx.tasks import data, models
from alx.tasks.supervised import losses, optimisers, supervised


class SiteConfig(Protocol):
    """What is needed of site.toml; `alx.site.site.SiteFile` is one."""

    @property
    def task(self) -> str:
        """`built-in`, or a file with `make_task`."""
        ...

    @property
    def device(self) -> str:
        """See `device` below."""
        ...

    @property
    def data(self) -> data.Source | None:
        """The site's own data."""
        ...

    @property
    def settings(self) -> dict[str, Scalar]:
        """For a task of one's own."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user's `make_task` is given.

    Attributes:
        plan: the agreement; `plan.settings` holds what the user put there for both sides.
        own: the [settings] of this site's own site.toml.
        folder: the site's folder; relative paths start there.
        device: where to train.
    """

    plan: Plan
    own: dict[str, Scalar]
    folder: Path
    device: torch.device


def device(name: str) -> torch.device:
    """`auto` is a GPU when there is one.

    Raises:
        ConfigError: torch knows no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(name)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"there is no device '{name}' here: {error}", 'device = "auto" takes what is there') from error
    return place


def task(folder: Path, config: SiteConfig, plan: Plan) -> Task:
    """The site's task.

    Args:
        folder: the site's folder.
        config: its site.toml.
        plan: the agreement.

    Raises:
        ConfigError: something named cannot be used.
    """
    place = device(config.device)
    if config.task != "built-in":
        make = getattr(models.module_of(folder / config.task), "make_task", None)
        if make is None:
            raise ConfigError(f"'{config.task}' has no function make_task", "docs/tasks.md shows one")
        made = make(Settings(plan, dict(config.settings), folder, place))
        if not isinstance(made, Task):
            raise ConfigError(f"make_task returned a {type(made).__name__}, expected a Task", "docs/tasks.md shows one")
        return made
    if config.data is None:
        raise ConfigError("site.toml has no [data]", "add it, or name a task of your own: docs/site.md")
    if plan.model is None:
        raise ConfigError("the plan has no [model], and the built-in task needs one")
    if plan.loss == "own":
        raise ConfigError('loss = "own" needs a task of your own')
    own, held_out = data.load(config.data, folder, plan)
    return supervised(
        models.find(plan.model, folder),
        own,
        losses(plan.loss),
        optimisers(plan.optimiser.name, plan.optimiser.options()),
        batch_size=plan.batch_size,
        held_out=held_out,
        device=place,
    )
