"""A model in use: one of the site's, or a file where no site is; with the plan that it was trained under.

Knows sites and model files; knows no data.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from alx.bundle.frozen import refuse_other
from alx.bundle.layout import check_model
from alx.errors import ConfigError, UsageError, escape
from alx.learning import state as states
from alx.learning.task import Task
from alx.plan import Plan, PlanFile
from alx.site import site as sites
from alx.site.site import Site
from alx.tasks import devices, load
from alx.turns import model_file
from alx.turns.best import Best, best, of_round
from alx.turns.bridge import frozen_in, frozen_of, layout_of

OWN = "a task of your own makes its inputs itself: load the file of alx best there, docs/tasks.md shows how"


@dataclass(frozen=True, slots=True)
class InUse:
    """A model, ready to be asked.

    Attributes:
        net: in evaluation mode, on `device`.
        plan: that it was trained under.
        device: where it is.
        called: which model it is, for people.
        site: a site of this plan, if one stands in it.
        task: the site's own, where the plan alone does not say how inputs are made.
    """

    net: nn.Module
    plan: Plan
    device: torch.device
    called: str
    site: Site | None
    task: Task | None


def selected(site: Site, round_: int | None, device: str | None) -> InUse:
    """A model that a site selected.

    Args:
        site: its plan is the one agreed on.
        round_: in which round; None is the best of all.
        device: None is the site's.

    Raises:
        UsageError: nothing was selected yet, or not in that round.
        AlxError: see `shelf.opened`; the site is not its owner's alone, or something agreed on was changed.
    """
    site.require_private()
    now = site.look()
    now.check_agreement()
    found = best(now) if round_ is None else of_round(now, round_)
    place = devices.device(site.config.device if device is None else device)
    task = _models(site.plan_file, site.folder, site, place, begun=True)
    called = f"{found.selected.label} of round {found.selected.round}"
    return _used(task, _put(task, found), site.plan_file, site, place, called)


def whole(found: Best) -> dict[str, Tensor]:
    """All of a selected model: what travelled, and what stayed at home.

    Raises:
        ModelError: the model or its frozen weights were changed since pairing.
        ConfigError: the model cannot be made.
    """
    site = found.site
    if found.stays is None:
        return found.tensors
    task = _models(site.plan_file, site.folder, site, devices.device("cpu"), begun=True)
    return states.copied(states.whole(task, _put(task, found)))


def best_file(found: Best) -> bytes:
    """A selected model as the bytes of a model file; see `whole`."""
    return model_file.written(found, whole(found))


def _put(task: Task, found: Best) -> nn.Module:
    """A selected model, as a model of the task."""
    net = task.new_model()
    check_model(layout_of(states.travels(task, task.state(net))).tensors, found.layout)
    refuse_other(frozen_of(task, net), found.stays, "this site's")
    states.put(task, net, found.tensors)
    return net


def in_file(path: Path, plan_path: Path | None, site: Site | None, device: str | None) -> InUse:
    """A model out of a file.

    Args:
        path: safetensors, as alx best or anybody else wrote it.
        plan_path: the plan that it was trained under; None is the one beside it, else the site's.
        site: the site that one stands in, if any.
        device: None is the site's, else `auto`.

    Raises:
        UsageError: there is no such file, or no plan.
        ConfigError, ModelError: see `model_file.tensors`; its own .py file is another; or its plan alone does not say how
            inputs are made.
    """
    says, beside = model_file.noted(path), model_file.plan_beside(path)
    if plan_path is None and beside.is_file():
        plan_path = beside
    if plan_path is not None:
        plan, folder = sites.read_plan(plan_path), plan_path.parent
    elif site is not None:
        plan, folder = site.plan_file, site.folder
    else:
        raise UsageError(
            f"there is no plan '{escape(beside.name)}' beside '{escape(path.name)}'",
            "alx best writes it there; or name the plan: --plan FILE",
        )
    of_plan = site if site is not None and site.plan_file.digest == plan.digest else None
    if says is not None:
        if says.task == "own" and (of_plan is None or of_plan.config.task == "built-in"):
            raise ConfigError(
                f"'{escape(path.name)}' was trained by a task of one's own: the plan alone does not say how inputs are made",
                OWN,
            )
        _refuse_other_code(says.code, plan.plan, folder)
    if device is None:
        device = "auto" if site is None else site.config.device
    place = devices.device(device)
    task = _models(plan, folder, of_plan, place, begun=False)
    net = task.new_model()
    travels = set(states.travels(task, task.state(net)))
    held = model_file.tensors(path, layout_of(states.whole(task, net)), travels, task.personal, plan)
    own = of_plan is not None and of_plan.config.task != "built-in"
    if not own:  # all that the built-in task's model has is in its file
        net.load_state_dict(dict(held))
    else:
        frozen = task.frozen(net)
        refuse_other(frozen_in({name: held[name] for name in frozen}), frozen_of(task, net), f"'{escape(path.name)}': its")
        states.put(task, net, {name: held[name] for name in task.state(net)})
    return _used(task, net, plan, of_plan, place, f"'{escape(path.name)}'")


def _refuse_other_code(expected: str | None, plan: Plan, folder: Path) -> None:
    """Before it is run."""
    name = None if plan.model is None else plan.model.file()
    if name is None or expected is None:
        return
    got = hashlib.sha256(sites.source(folder / name)).hexdigest()
    if got != expected:
        raise ConfigError(
            f"the model's own file '{escape(name)}' is another: SHA-256 {got[:16]}…, expected {expected[:16]}…",
            "put the one that alx best wrote back beside the plan",
        )


def _models(plan: PlanFile, folder: Path, site: Site | None, place: torch.device, *, begun: bool) -> Task:
    """The models of a task: with what the site was given, where `begun`."""
    if site is not None and site.config.task != "built-in":
        return load.task(site.folder, site.config.model_copy(update={"device": str(place)}), plan.plan)
    if plan.plan.model is None or plan.plan.loss == "own":
        raise ConfigError("the plan alone does not say how a model is asked: it needs a task of one's own", OWN)
    return load.untrained(folder, plan.plan, place, begun=begun)


def _used(task: Task, net: nn.Module, plan: PlanFile, site: Site | None, place: torch.device, called: str) -> InUse:
    own = site is not None and site.config.task != "built-in"
    return InUse(net.eval(), plan.plan, place, called, site, task if own else None)
