"""What a site tells its peer before round 1, and the weights that everything begins with."""

import math

from alx import files
from alx.bundle import identity
from alx.bundle.identity import Identity, IdentityFile
from alx.errors import ConfigError, TurnError, count, escape
from alx.learning import measure, state, trajectory
from alx.learning.task import LossSum, State, Task
from alx.plan import INIT_NAME, Init
from alx.site import personal as parts
from alx.site.site import DATA_NAME, Site
from alx.site.state import SiteState
from alx.steps import disclosure, new
from alx.tasks import load
from alx.tasks.check import likeness
from alx.turns import personal
from alx.turns.bridge import as_sent, frozen_of, layout_of, objective_of, refuse_negative, same_count

MAX_DATA_BYTES = 1024  # a digest and a line's end


def introduce(now: SiteState) -> Identity:
    """Write this site's identity file: its key, plan, model and sample count.

    Raises:
        ConfigError: the task cannot be used, or has too few samples.
        TurnError: the data or the model changed after bundles were exchanged.
    """
    site = now.site
    task = load.task(site.folder, site.config, site.plan)
    tensors = initial(site, task)
    layout = layout_of(state.travels(task, tensors))
    model = task.new_model()
    measured = measure.measure(task, model, tensors)
    if task.sample_losses is not None:
        _refuse_odd_terms(measured, measure.measure_all(task, [model], [tensors])[0], likeness(task.training))
    refuse_few(site, task, measured.count)
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
            frozen=frozen_of(task, model),
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
    if now.pairing is None:
        _remember(site, task)
    else:
        refuse_other_data(site, task, now.own.file.samples)
    if task.personal:
        parts.put_first(site.folder, personal.packed(task, tensors))
    files.replace(path, made.data)
    now.introduced = made
    return made


def refuse_few(site: Site, task: Task, samples: int) -> None:
    """No loss and no model of so few samples leaves the site; see `disclosure.refuse_few`.

    Args:
        site: this site.
        task: its task.
        samples: that losses are sums over.

    Raises:
        ConfigError: fewer than the site's least, of these, of those trained on, or of a class whose moments are told.
    """
    disclosure.refuse_few(site, samples, disclosure.SUMMED)
    if task.trained is not None:
        disclosure.refuse_few(site, task.trained, "to train on")
    refuse_few_of_class(site, task)


def refuse_few_of_class(site: Site, task: Task) -> None:
    """Where moments travel, those of a class are told by themselves.

    Raises:
        ConfigError: a class of the learner's has fewer samples than the site's least, and more than none.
    """
    for number, of_class in enumerate(task.head.counts() if task.head is not None and site.role == "learner" else ()):
        if of_class:
            disclosure.refuse_few(site, of_class, f"of class {number}, whose moments [model] ridge tells")


def refuse_other_data(site: Site, task: Task, samples: int) -> None:
    """The samples are those of pairing: a loss of then is compared with losses of now.

    Of a task that does not say what it reads the number alone is compared; where nothing was remembered, in a site out of
    a backup of before, what is there now is.

    Args:
        site: this site.
        task: its task.
        samples: of its own, as they were counted at pairing.

    Raises:
        ConfigError: they are others.
    """
    path = site.folder / DATA_NAME
    if task.sample_losses is not None:
        same_count(task.sample_losses.count, samples)
    if task.data is None:
        return
    if not path.is_file():
        _remember(site, task)
    elif files.read(path, MAX_DATA_BYTES).decode("ascii", "replace").strip() != task.data():
        raise ConfigError(
            "the data changed since pairing: as many samples as then, and other values or labels, or another order",
            "put them back, and [data] in site.toml; or make new sites on both sides",
        )


def _remember(site: Site, task: Task) -> None:
    if task.data is not None:
        files.replace(site.folder / DATA_NAME, f"{task.data()}\n".encode("ascii"))


def _refuse_odd_terms(whole: LossSum, terms: LossSum, near: float) -> None:
    """`sample_losses` is what imports go by: left over from another `measure`, it would choose by another loss."""
    if whole.count != terms.count or not math.isclose(whole.total, terms.total, rel_tol=near, abs_tol=near):
        raise ConfigError(
            f"the task's measure gives {whole.total:g} for {whole.count} samples, and its sample_losses {terms.total:g} for "
            f"{terms.count}",
            "alx check says more; sample_losses=None leaves it out",
        )


def initial(site: Site, task: Task) -> State:
    """theta^0: what a new model has, of the weights given at `alx init --init` or seeded with the plan's seed.

    Raises:
        ConfigError: there is NaN or infinity in it; or the plan says how given weights are taken, and none were given.
    """
    source = site.plan.model
    mapped = source is not None and source.init != Init() and new.takes_init(site.config, site.plan_file)
    if mapped and not (site.folder / INIT_NAME).is_file():
        raise ConfigError(
            "the plan has [model.init], and this site was given no weights to begin with",
            "delete the site's folder, and make it anew with alx init --init FILE",
        )
    trajectory.seed_all(site.plan.seed)
    model, path = task.new_model(), site.folder / INIT_NAME
    tensors = as_sent(site.plan, state.of(task, model))
    bad = state.finite(tensors) or state.finite(task.frozen(model))
    if bad is not None:
        rounded = f", rounded to {site.plan.rounding} by the plan," if site.plan.rounds_weights else ""
        raise ConfigError(
            f"'{escape(bad)}' of the initial model{rounded} holds NaN or infinity, which no bundle may",
            "give other weights to alx init --init"
            if path.is_file()
            else "keep a constant mask out of the state: register_buffer(..., persistent=False)",
        )
    return tensors
