"""What a site tells its peer before round 1, and the weights that everything begins with."""

import math
from pathlib import Path

import safetensors
from safetensors.torch import load_file

from alx import files
from alx.bundle import identity
from alx.bundle.identity import Identity, IdentityFile
from alx.bundle.layout import Layout, check_model
from alx.errors import ConfigError, ModelError, TurnError, count, escape
from alx.learning import measure, state, trajectory
from alx.learning.task import LossSum, State, Task
from alx.plan import Plan
from alx.site.site import INIT_NAME, Site
from alx.site.state import SiteState
from alx.tasks import load
from alx.tasks.check import LIKENESS
from alx.turns.bridge import as_sent, layout_of, objective_of, refuse_negative


def introduce(now: SiteState) -> Identity:
    """Write this site's identity file: its key, plan, model and sample count.

    Raises:
        ConfigError: the task cannot be used.
        TurnError: the data or the model changed after bundles were exchanged.
    """
    site = now.site
    task = load.task(site.folder, site.config, site.plan)
    tensors = initial(site, task)
    layout = layout_of(tensors)
    model = task.new_model()
    measured = measure.measure(task, model, tensors)
    if task.sample_losses is not None:
        _refuse_odd_terms(measured, measure.measure_all(task, [model], [tensors])[0])
    refuse_negative(site.plan, measured.total)
    made = identity.of(
        IdentityFile(
            format="alx-identity",
            version=1,
            role=site.role,
            public_key=now.keyring.own[0].pem,  # rotations carry on from what was introduced
            recipient=site.recipient,
            plan=site.plan_file.data.decode("utf-8"),
            code=site.code_digest,
            samples=measured.count,
            objective=objective_of(site.plan, task),
            inputs=task.inputs,
            tensors=list(layout.tensors),
        )
    )
    path = site.folder / identity.IDENTITY_NAME
    changed = path.is_file() and files.read(path, identity.MAX_IDENTITY_BYTES) != made.data
    if changed and now.pairing is not None:
        raise TurnError(
            f"the data or the model changed since pairing: {count(now.own.file.samples, 'sample')} then, "
            f"{measured.count} now",
            "put them back, or make a new site on both sides",
        )
    files.replace(path, made.data)
    now.introduced = made
    return made


def _refuse_odd_terms(whole: LossSum, terms: LossSum) -> None:
    """`sample_losses` is what imports go by: left over from another `measure`, it would choose by another loss."""
    if whole.count != terms.count or not math.isclose(whole.total, terms.total, rel_tol=LIKENESS, abs_tol=LIKENESS):
        raise ConfigError(
            f"the task's measure gives {whole.total:g} for {whole.count} samples, and its sample_losses {terms.total:g} for "
            f"{terms.count}",
            "alx check says more; sample_losses=None leaves it out",
        )


def initial(site: Site, task: Task) -> State:
    """theta^0: the weights given at `alx init --init`, or the plan's model seeded with the plan's seed.

    Raises:
        ConfigError: the given weights are not those of the model, or cannot be read; or there is NaN or infinity in them.
        StorageError: see `files.storage`.
    """
    path = site.folder / INIT_NAME
    return first(site.plan, task, path if path.is_file() else None)


def first(plan: Plan, task: Task, init: Path | None) -> State:
    """theta^0 where no site is: the weights in a file, or the plan's model seeded with the plan's seed; see `initial`."""
    trajectory.seed_all(plan.seed)
    fresh = state.fresh(task)
    tensors = as_sent(plan, fresh if init is None else _given(init, layout_of(fresh)))
    bad = state.finite(tensors)
    if bad is not None:
        rounded = f", rounded to {plan.rounding} by the plan," if plan.rounds_weights else ""
        raise ConfigError(
            f"'{escape(bad)}' of the initial model{rounded} holds NaN or infinity, which no bundle may",
            "give other weights to --init"
            if init is not None
            else "keep a constant mask out of the state: register_buffer(..., persistent=False)",
        )
    return tensors


def _given(path: Path, layout: Layout) -> State:
    """The weights in a file, which are those of the model."""
    try:
        with files.storage(path):
            given = load_file(path)
        check_model(layout_of(given).tensors, layout)
    # safetensors knows more types than it can make tensors of
    except (ConfigError, ModelError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise ConfigError(
            f"'{escape(path.name)}' does not fit the plan's model: {escape(str(error), 400)}",
            "give weights of this very model to --init",
        ) from error
    return given
