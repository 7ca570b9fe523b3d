"""Ask a model in use about data: what it answers, and how good its answers are.

Knows models and data; writes nothing, and nothing of what it finds leaves the site by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from alx.dialect import Dialect
from alx.errors import ConfigError, UsageError, escape
from alx.learning import measure
from alx.learning.task import Scores, Task, Values, exact_sum
from alx.plan import Plan
from alx.site import site_file
from alx.site.site import Site
from alx.site.site_file import Data
from alx.summary import Column as Seen
from alx.tasks import costs, fit, load, metrics, predictions
from alx.tasks.answers import answers
from alx.tasks.data import kinds, questions
from alx.tasks.data.questions import Part
from alx.tasks.objective import NAMED, accuracy, losses
from alx.tasks.predictions import Column
from alx.turns.in_use import OWN, InUse

_WITHOUT_A_SITE = {
    "[data.table] of site.toml": "a file for --table",
    "[data.table] in site.toml": "a file for --table",
    "else agree on it in the plan": "else leave the row out: the model knows no other",
}


@dataclass(frozen=True, slots=True)
class Predicted:
    """Answers to samples.

    Attributes:
        columns: headings and values, as many as samples; the first is what each sample is called.
        samples: number.
        where: the data, for people.
        seen: of a table, what its columns hold.
    """

    columns: list[tuple[str, Column]]
    samples: int
    where: str
    seen: Mapping[str, Seen]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model is worth.

    Attributes:
        where: the data, for people.
        samples: number.
        loss: the plan's, a sample.
        scores: of these samples; of a task of one's own, of what it keeps apart; None where there are none.
        seen: of a table, what its columns hold.
    """

    where: str
    samples: int
    loss: float
    scores: Scores | None
    seen: Mapping[str, Seen] = field(default_factory=dict)


def predict(
    used: InUse, data: Data, part: Part | None, name_by: str | None, threshold: float | None, positive: str | None
) -> Predicted:
    """Ask a model about data, whether they have labels or not.

    Args:
        used: the model.
        data: as people name them; a CSV that is not said to be written otherwise, as the site's own is.
        part: of an .npz or of torchvision's sets; see `questions.read`.
        name_by: what names each sample; see `questions.read`.
        threshold: as in `evaluate`.
        positive: as in `evaluate`.

    Raises:
        ConfigError: the data or the answers cannot be used; or the task is the site's own.
    """
    _refuse_own(used, "predict")
    try:
        asked = questions.read(_named(used, data), Path(), used.plan, part, name_by, labelled=False)
    except ConfigError as error:
        if used.site is None:  # and the plan is the model's, which nobody can agree on anew
            for said, here in _WITHOUT_A_SITE.items():
                error.hint = error.hint.replace(said, here)
        raise
    _refuse_other_inputs(used, asked)
    fit.first_outputs(used.net, asked.samples, asked.where, used.device, used.plan)
    judge = _judge(used, threshold, positive, {})
    outputs, _ = answers(used.net, asked.samples, used.device)
    load.refuse_useless(used.plan, outputs, threshold, positive)
    found = predictions.of(outputs, judge)
    if asked.called in found:
        raise ConfigError(
            f"the samples are named by '{escape(asked.called)}', and so is a column of the answers",
            "rename the column in the data, or leave out --id",
        )
    return Predicted([(asked.called, asked.names), *found.items()], len(asked.names), asked.where, asked.columns)


def evaluate(
    used: InUse, data: Data | None, part: Part | None, by: Sequence[str], threshold: float | None, positive: str | None
) -> Judged:
    """Judge a model by samples with labels.

    Args:
        used: the model.
        data: see `predict`; None is what the site keeps apart, or another part of its own data.
        part: of an .npz or of torchvision's sets; of a site's own data train, val or test.
        by: columns whose groups are told apart; none: of what a site keeps apart those of its [metrics].
        threshold: of the probability of the positive of two classes; None is that of the site's [metrics], else a half.
        positive: of two classes, the one to be found; None is that of the site's [metrics], else the second.

    Raises:
        ConfigError: the data cannot be used, or do not fit the model.
        UsageError: there are none.
    """
    if used.task is not None:
        return _by_own(used.task, used.net, given=(data, part, *by, threshold, positive))
    plan = used.plan
    if data is None:
        asked = _own_part(used.site, part or "test")
    else:
        asked = questions.read(_named(used, data), Path(), plan, part, None, labelled=True)
        _refuse_other_inputs(used, asked)
    fit.refuse_misfit(used.net, asked.samples, plan, asked.where, used.device)
    if not by and data is None and part in (None, "test") and used.site is not None:
        by = used.site.config.metrics.by
    groups = {name: asked.column(name) for name in by}
    for name, cells in groups.items():
        metrics.refuse_many(name, cells)
    judge = _judge(used, threshold, positive, groups)
    outputs, targets = answers(used.net, asked.samples, used.device)
    load.refuse_useless(used.plan, outputs, threshold, positive)
    each = losses(plan.loss, plan.objective, plan.class_names)(outputs, targets).double().reshape(len(targets), -1).mean(1)
    total = exact_sum(each.tolist())
    if plan.loss == "cross_entropy" and targets.ndim > 1:
        found = Scores(_of_places(plan, outputs, targets))
    else:
        found = judge(outputs, targets)
    return Judged(asked.where, len(targets), total / len(targets), found, asked.columns)


def _judge(used: InUse, threshold: float | None, positive: str | None, groups: Mapping[str, Sequence[str]]) -> metrics.Judge:
    """How answers are judged: as was asked for, else as the site's [metrics] says."""
    wanted = site_file.Metrics() if used.site is None else used.site.config.metrics
    classes = used.plan.class_names
    place = load.positive(wanted.positive if positive is None else positive, used.plan, classes)
    return metrics.Judge(
        used.plan.loss, classes, wanted.threshold if threshold is None else threshold, place, groups, used.plan.objective
    )


def _of_places(plan: Plan, outputs: Tensor, targets: Tensor) -> Values:
    """What is known where each sample has many classes, one for each pixel."""
    found = {NAMED[plan.loss].scored: float(accuracy(outputs, targets).mean())}
    if plan.objective.costs:
        answered = costs.answers(outputs, plan.objective, plan.class_names)
        paid = costs.paid(answered, targets, plan.objective, plan.class_names)
        found |= {metrics.MEAN_COST: float(paid.mean()), metrics.CHEAPEST: float((answered == targets).double().mean())}
    return found


def _own_part(site: Site | None, part: Part) -> questions.Questions:
    """A part of a site's own data."""
    if site is None or site.config.data is None:
        raise UsageError("no --data was given, and there is no site of this plan here", "--data KIND:PATH names samples")
    data = site.config.data
    if part != "test":
        return questions.own(data, site.folder, site.plan, part)
    has_parts = data.kind in kinds.WITH_PARTS
    if data.held_out is None and not has_parts:
        raise UsageError(
            "site.toml names no held_out under [data]",
            "name samples with --data KIND:PATH; --part train are those trained on",
        )
    kept = data.model_copy(update={"path": data.held_out or data.path, "held_out": None, "validation": None})
    return questions.read(kept, site.folder, site.plan, part if has_parts else None, None, labelled=True)


def _by_own(task: Task, net: nn.Module, given: Sequence[object]) -> Judged:
    """What a task of one's own says itself."""
    if any(given):
        raise ConfigError("a task of your own brings its data itself, and judges by them itself", "leave out these options")
    with measure.exact():
        found = task.measure(net)
    return Judged("the task's own samples", found.count, found.total / found.count, measure.held_out(task, net))


def _named(used: InUse, data: Data) -> Data:
    """The same data, written as the site's own are, where nobody says otherwise."""
    own = None if used.site is None else used.site.config.data
    if own is None or own.kind != data.kind or data.table != Dialect():
        return data
    return data.model_copy(update={"table": own.table})


def _refuse_other_inputs(used: InUse, asked: questions.Questions) -> None:
    """Pixels are scaled and numbers are not, so that the same picture would be another input."""
    known = None if used.site is None else used.site.look().introduced
    inputs = kinds.made_of(asked.samples, used.plan)
    if known is not None and known.file.inputs not in (None, inputs):
        raise ConfigError(
            f"{asked.where} holds {inputs}, and the model was trained on {known.file.inputs}",
            "store both alike: pixels as uint8, say",
        )


def _refuse_own(used: InUse, command: str) -> None:
    if used.task is not None:
        raise ConfigError(f"{command} is for the built-in task, and this site has one of its own", OWN)
