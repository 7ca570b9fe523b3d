"""The devices that a site names: one, or several alike, separated by commas.

Knows torch's devices; knows no task. The first trains; all measure (`alx.tasks.replicas`).
"""

import os
from collections.abc import Sequence

import torch

from alx.errors import ConfigError, escape

EVERY_GPU = "cuda:*"
MAX_DEVICES = 64  # of a machine; a longer list is a slip
_RANKS = "WORLD_SIZE"  # torchrun tells each process so how many there are


def device(name: str) -> torch.device:
    """The one that trains: the first of several; `auto` is a GPU when there is one.

    Raises:
        ConfigError: see `devices`.
    """
    return devices(name)[0]


def devices(name: str) -> tuple[torch.device, ...]:
    """All that a site names, in its order: `cpu`, `cuda:0,cuda:1`, `cuda:*`; `auto` is one.

    Raises:
        ConfigError: torch knows no such device; several are of different kinds or models, as a loss would then depend on
            which of them measured it; or several are named for one of several processes.
    """
    if name == "auto":
        return (torch.device("cuda" if torch.cuda.is_available() else "cpu"),)
    if name == EVERY_GPU:
        names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        if not names:
            raise ConfigError(f"there is no device '{EVERY_GPU}' here: torch finds no GPU", _AUTO)
    else:
        names = [each.strip() for each in name.split(",")]
    if len(names) > MAX_DEVICES:
        raise ConfigError(f"site.toml names {len(names)} devices, expected at most {MAX_DEVICES}")
    found = tuple(map(_one, names))
    if len(found) > 1:
        _refuse_ranks(len(found))
        refuse_unlike(names, [_model(each) for each in found])
    return found


_AUTO = 'device = "auto" takes what is there'


def _one(name: str) -> torch.device:
    try:
        place = torch.device(name)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"there is no device '{escape(name)}' here: {escape(str(error))}", _AUTO) from error
    return place


def _model(place: torch.device) -> str:
    return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type


def refuse_unlike(names: Sequence[str], models: Sequence[str]) -> None:
    """Devices that round otherwise give other digits: which of them measured a loss must not show.

    Args:
        names: as the site has them.
        models: what each is.

    Raises:
        ConfigError: two are not the same.
    """
    for name, model in zip(names, models, strict=True):
        if model != models[0]:
            raise ConfigError(
                f"device '{escape(names[0])}' is a {escape(models[0])} and '{escape(name)}' a {escape(model)}, and losses "
                "that are compared are measured on devices alike",
                "name those of one model",
            )


def _refuse_ranks(count: int) -> None:
    ranks = os.environ.get(_RANKS, "1")
    if ranks != "1":
        raise ConfigError(
            f"site.toml names {count} devices for one process, and torchrun started {escape(ranks)}",
            'each process has one device: write device = "auto", or run alx without torchrun',
        )
