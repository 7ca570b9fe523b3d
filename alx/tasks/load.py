"""From plan and site file to a Task.

Knows where things are named; the work is done by `data`, `models` and `supervised`, or by the user's `make_task`.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, UsageError, escape
from alx.learning import state
from alx.learning.task import Task
from alx.plan import INIT_NAME, ModelSource, Plan
from alx.records import Scalar
from alx.tasks import (
    code,
    crew,
    descent,
    distillation,
    fit,
    given,
    head,
    metrics,
    models,
    parts,
    ranks,
    replicas,
    sharded,
    sharding,
)
from alx.tasks.clipped import clipped
from alx.tasks.data import kinds
from alx.tasks.data.samples import CPU, Held, digest
from alx.tasks.deal import Deal
from alx.tasks.devices import devices
from alx.tasks.fresh import tried
from alx.tasks.guard import guarded
from alx.tasks.objective import Loss, losses, optimisers
from alx.tasks.supervised import supervised

NO_HELD_OUT = "name held_out in [data]; an .npz has test_images and test_labels"


class Wanted(Protocol):
    """What is needed of the [metrics] of site.toml; `alx.site.site_file.Metrics` is one.

    Attributes:
        threshold: of a probability, above which it is the answer.
        positive: the class whose probability it is.
        by: columns whose groups are told apart.
    """

    threshold: float
    positive: str | None
    by: list[str]


class SiteConfig(Protocol):
    """What is needed of site.toml; `alx.site.site_file.SiteFile` is one.

    Attributes:
        task: `built-in`, or a file with `make_task`.
        device: see `alx.tasks.devices`.
        sharding: of several ranks, each has a part of the model alone.
        settings: for a task of one's own.
    """

    task: str
    device: str
    sharding: bool
    settings: dict[str, Scalar | list[Scalar]]

    @property
    def data(self) -> kinds.Source | None:
        """The site's own data."""
        ...

    @property
    def metrics(self) -> Wanted:
        """How answers are judged."""
        ...


class Own(dict[str, Scalar | list[Scalar]]):
    """The [settings] of a site.toml; what is not there is reported."""

    def __missing__(self, name: str) -> Scalar | list[Scalar]:
        raise ConfigError(f"[settings] in site.toml has no '{escape(name)}'", "add it there: it stays on this side")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user's `make_task` is given.

    Attributes:
        plan: the agreement; `plan.settings` holds what the user put there for both sides.
        own: the [settings] of this site's own site.toml.
        folder: the site's folder; relative paths start there.
        device: where to train.
        deal: `alx simulate`'s, for `dealt`; None in a site.
    """

    plan: Plan
    own: Own
    folder: Path
    device: torch.device
    deal: Deal | None = None

    def dealt(self, data: Any, *, labels: Any = None, columns: Mapping[str, Any] | None = None) -> Any:
        """The samples that one party has: in a site all of them, as they were given; in `alx simulate` its part of them.

        Args:
            data: samples that can be counted and asked for by number: a data set, a list, an array.
            labels: the class number of each, [n], for splits by classes; None reads them from the data, where a sample is an
                (input, target).
            columns: values of each, [n], by name, such as the hospital that it is from, for splits by a column.

        Returns:
            Of the same kind; of a data set that is no TensorDataset, torch's Subset.

        Raises:
            ConfigError: in a simulation, they cannot be counted.
        """
        return data if self.deal is None else self.deal(data, labels, columns or {})

    @property
    def model(self) -> Callable[[], nn.Module]:
        """The function that makes the plan's [model].

        Raises:
            ConfigError: the plan has none, or it is not found.
        """
        if self.plan.model is None:
            raise ConfigError("the plan has no [model]", "docs/plan.md describes it")
        return models.find(self.plan.model, self.folder)

    @property
    def loss(self) -> Loss:
        """The plan's loss, weighed as its [objective] says.

        Raises:
            ConfigError: the loss is the task's own.
        """
        if self.plan.loss == "own":
            raise ConfigError('loss = "own" in the plan names none', "the task brings it: docs/tasks.md")
        return losses(self.plan.loss, self.plan.objective, self.plan.class_names)

    @property
    def optimiser(self) -> Callable[[Any], torch.optim.Optimizer]:
        """Makes the plan's [optimiser] of a model's parameters.

        Raises:
            ConfigError: torch refuses its options.
        """
        return optimisers(self.plan.optimiser.name, self.plan.optimiser.options())

    @property
    def distillation(self) -> distillation.Term | None:
        """The plan's [distillation] for its loss; None where it is off.

        Raises:
            ConfigError: the loss is the task's own.
        """
        plan = self.plan
        return distillation.term(plan.loss, plan.distillation, plan.objective, plan.class_names)


def samples(source: kinds.Source, folder: Path, plan: Plan) -> kinds.Parts:
    """A site's samples, their labels such as the plan's loss is for.

    Raises:
        ConfigError: see `kinds.parts` and `fit.refuse_labels`.
    """
    found = kinds.parts(source, folder, plan)
    for part, where in _named(found, source):
        fit.refuse_labels(part.targets, plan.loss, where)
    return found


def classes(folder: Path, plan: Plan, source: kinds.Source, read: kinds.Parts) -> int | None:
    """How many classes the plan's model tells apart: of a plan that names none, and has a model and a loss of classes.

    Raises:
        ConfigError: the model cannot be made, or does not fit the samples.
    """
    if plan.class_names or plan.model is None or plan.loss != "cross_entropy":
        return None  # a draft's code is not run without need
    return fit.classes(refuse_misfit(source, folder, plan, read), read.own, CPU)


def refuse_misfit(source: kinds.Source, folder: Path, plan: Plan, read: kinds.Parts) -> nn.Module:
    """Make the plan's model, try it on the samples, and give it back.

    Raises:
        ConfigError: it cannot be made, or does not fit them.
    """
    if plan.model is None:
        raise ConfigError("the plan has no [model]", "docs/plan.md describes it")
    with torch.random.fork_rng(devices=[]):
        model = models.find(plan.model, folder)()
    fit.refuse_misfit(model, read.own, plan, f"'{escape(Path(source.path).name)}'", CPU)
    return model


def _named(found: kinds.Parts, source: kinds.Source) -> Iterator[tuple[Held, str]]:
    """Samples, and how messages call them: those trained on come first."""
    name = escape(Path(source.path).name)
    yield found.own, f"'{name}'"
    for more, where in ((found.validation, "for validation"), (found.held_out, "apart")):
        if more is not None:
            yield more, f"the samples kept {where} from '{name}'"


def task(folder: Path, config: SiteConfig, plan: Plan, read: kinds.Parts | None = None) -> Task:
    """The site's task.

    Args:
        folder: the site's folder.
        config: its site.toml.
        plan: the agreement.
        read: what `samples` gave, for the built-in task; None reads them now.

    Raises:
        ConfigError: something named cannot be used.
        RanksError: of several ranks that are this site, another has another one.
    """
    led, group = crew.asked(folder, config, plan), ranks.here()
    if not config.sharding or group is None:
        return led(_made(folder, config, plan, read))
    if read is None and config.data is not None:
        read = samples(config.data, folder, plan)
    place = devices(config.device)[0]
    cut = sharded.cut(_placed(folder, config, plan, read, place, whole=False), place, group.world)
    return cut if group.rank else led(_made(folder, config, plan, read), cut)


def refuse_alone(config: SiteConfig) -> None:
    """What is to be cut between ranks has several.

    Raises:
        UsageError: there is one process.
    """
    if config.sharding and not crew.shared():
        raise UsageError(
            "site.toml says sharding, and this is one process: a model is cut between two or more",
            "torchrun --standalone --nproc-per-node 8 -m alx and the same command, say; or leave sharding out of site.toml",
        )


def _made(folder: Path, config: SiteConfig, plan: Plan, read: kinds.Parts | None) -> Task:
    """The same of this process alone, on all of its devices."""
    if config.sharding:
        return _placed(folder, config, plan, read, CPU)  # whole, it may be too large for a GPU
    places = devices(config.device)
    if len(places) > 1 and config.task == "built-in" and config.data is not None:
        read = read or samples(config.data, folder, plan)  # once for all
    return replicas.spread([_placed(folder, config, plan, read, place) for place in places], places)


def _placed(
    folder: Path, config: SiteConfig, plan: Plan, read: kinds.Parts | None, place: torch.device, *, whole: bool = True
) -> Task:
    """The task on one device; not `whole`, to be cut: its models are of the meta device, and nothing is tried."""
    if plan.ridge is not None and (config.task != "built-in" or config.sharding):
        raise ConfigError(
            "[model] ridge in the plan is for the built-in task, whole on each device",
            "leave ridge out of the plan, and sharding or the task of your own in site.toml as it is",
        )
    if config.sharding:
        _refuse_uncut(folder, config, plan)
    if config.task != "built-in":
        return _own(folder, config, plan, place)
    if config.data is None:
        raise ConfigError("site.toml has no [data]", "add it, or name a task of your own: docs/site.md")
    if plan.model is None:
        raise ConfigError("the plan has no [model], and the built-in task needs one", "docs/plan.md describes it")
    if plan.loss == "own":
        raise ConfigError('loss = "own" needs a task of your own', "docs/tasks.md shows one")
    found = read or samples(config.data, folder, plan)
    own, kept, held_out = found.own, found.validation, found.held_out
    made = supervised(
        models.find(plan.model, folder),
        own,
        losses(plan.loss, plan.objective, plan.class_names),
        optimisers(plan.optimiser.name, plan.optimiser.options()),
        batch_size=plan.batch_size,
        validation=kept,
        held_out=held_out,
        score=judge(config, folder, plan, held_out),
        device=place,
        training=plan.training,
        distillation=distillation.term(plan.loss, plan.distillation, plan.objective, plan.class_names),
        canaries=None if found.canaries is None else (found.canaries.all, found.canaries.inside),
    )
    measured = [own] if kept is None else [own, kept]
    safe = guarded(made, plan.seed)
    if not whole:
        cut = parts.split(safe, sharding.unfilled(safe.new_model), plan.model.freeze, plan.model.personal)
        return dataclasses.replace(cut, data=lambda: digest(measured))
    model = _tried(safe)
    descent.parameters(model, plan.training)  # what it refuses is told before there is a site
    for number, (part, where) in enumerate(_named(found, config.data)):
        fit.refuse_misfit(model, part, plan, where, place, trained=not number)
    threshold = None if config.metrics.threshold == metrics.HALF else config.metrics.threshold
    refuse_useless(plan, fit.first_outputs(model, own, "the data", place, plan), threshold, config.metrics.positive)
    begun = _limited(_begun(safe, model, folder, plan), plan)
    begun = dataclasses.replace(begun, inputs=kinds.made_of(own, plan), data=lambda: digest(measured))
    if plan.ridge is None:
        return begun
    with torch.random.fork_rng(devices=[]):
        blank = begun.new_model()
    loss = losses(plan.loss, plan.objective, plan.class_names)
    return dataclasses.replace(begun, head=head.of(begun, blank, own, loss, plan.ridge, place))


def _refuse_uncut(folder: Path, config: SiteConfig, plan: Plan) -> None:
    """What site.toml wants to be cut can be.

    Raises:
        ConfigError: it cannot.
    """
    if config.task != "built-in":
        raise ConfigError(
            f"site.toml says sharding, and '{escape(config.task)}' is a task of your own",
            "only the built-in task can be cut: leave sharding out; ranks train copies of the model without it",
        )
    if len(devices(config.device)) > 1:
        raise ConfigError(
            f'site.toml says sharding, and device = "{escape(config.device)}": a model is cut between processes, each of '
            "which has one device",
            'write device = "auto", or leave sharding out: without it all devices that are named measure',
        )
    sharding.refuse_misfit(plan.training)
    if plan.model is not None:
        sharding.unfilled(models.find(plan.model, folder))


def untrained(folder: Path, plan: Plan, place: torch.device, *, begun: bool) -> Task:
    """The built-in task's models where no data are at hand: nothing of it can be trained or measured.

    Args:
        folder: where the model's own file lies; that of the site, where `begun`.
        plan: the agreement; it has a [model].
        place: where the models live.
        begun: with the weights that the site was given.

    Raises:
        ConfigError: see `task`.
    """
    if plan.model is None:
        raise ConfigError("the plan has no [model]", "docs/plan.md describes it")
    make = models.find(plan.model, folder)

    def none(*_: object) -> NoReturn:
        raise ConfigError("this model is for use, and there are no data to train or measure it on")

    safe = guarded(Task(lambda: make().to(place), none, none), plan.seed)
    with torch.random.fork_rng(devices=[]):
        return _begun(safe, safe.new_model(), folder if begun else None, plan)


def _begun(task: Task, model: nn.Module, folder: Path | None, plan: Plan) -> Task:
    """The task whose models begin with what the site was given, and of which only what can change travels."""
    wanted = ModelSource(source="none:none") if plan.model is None else plan.model
    path = None if folder is None else folder / INIT_NAME
    if path is not None and path.is_file():
        task = given.started(task, given.read(path, state.whole(task, model), wanted.init))
    return parts.split(task, model, wanted.freeze, wanted.personal)


def judge(config: SiteConfig, folder: Path, plan: Plan, held_out: Held | None) -> metrics.Judge | None:
    """How answers to the samples kept apart are judged, by site.toml's [metrics].

    None where there are none, or where each sample has many classes, pixel by pixel: then it is accuracy.

    Raises:
        ConfigError: a class or a column is not there.
    """
    wanted = config.metrics
    if config.data is None or held_out is None:
        if wanted.by:
            raise ConfigError("[metrics] by names columns of the samples kept apart, and there are none", NO_HELD_OUT)
        return None
    if plan.loss == "cross_entropy" and held_out.targets.ndim > 1:
        return None
    groups = {name: kinds.column(config.data, folder, name, len(held_out)) for name in wanted.by}
    for name, cells in groups.items():
        metrics.refuse_many(name, cells)
    classes = plan.class_names
    return metrics.Judge(
        plan.loss, classes, wanted.threshold, positive(wanted.positive, plan, classes), groups, plan.objective
    )


def positive(name: str | None, plan: Plan, classes: Sequence[str]) -> int:
    """The place of the class to be found, of two; the second where nobody names one.

    Raises:
        ConfigError: there are no two classes, or none of that name.
    """
    if name is None:
        return 1
    two = [*classes] or ["0", "1"]  # an .npz's labels are numbers
    if plan.loss != "cross_entropy" or len(two) != 2:  # noqa: PLR2004 - two classes
        raise ConfigError(
            f"the positive class is '{escape(name)}', and the plan does not tell two classes apart",
            "leave it out: of several, each class is told against the rest",
        )
    if name not in two:
        raise ConfigError(
            f"the positive class is '{escape(name)}', and the plan names no such class",
            f"classes: {escape(', '.join(two), 200)}",
        )
    return two.index(name)


def refuse_useless(plan: Plan, outputs: Tensor, threshold: float | None, positive: str | None) -> None:
    """Refuse what is asked of answers and would change nothing.

    Args:
        plan: the agreement.
        outputs: what its model gives, [n, …].
        threshold: of a probability; None where nobody names one.
        positive: the class whose probability it is, likewise.

    Raises:
        ConfigError: says which.
    """
    if threshold is not None and plan.objective.costs:
        raise ConfigError(
            f"a threshold of {threshold:g}, and the plan has costs: the cheapest answer is given", "leave it out"
        )
    two = plan.loss == "cross_entropy" and outputs.ndim == 2 and outputs.shape[1] == 2  # noqa: PLR2004 - two classes
    if positive is not None and not two:
        raise ConfigError(
            f"the positive class is '{escape(positive)}', and the model tells no two classes apart", "leave it out"
        )
    if threshold is not None and not two and plan.loss != "binary_cross_entropy":
        raise ConfigError(f"a threshold of {threshold:g}, and the model tells no two classes apart", "leave it out")


def from_file(path: Path, settings: Settings) -> Task:
    """What `make_task` of a user's own file returns, before any of it is called.

    Raises:
        ConfigError: the file cannot be run, or gives no task, or one that the plan's loss is not for.
    """
    name = escape(path.name)
    make = getattr(code.file(path), "make_task", None)
    if not callable(make):
        raise ConfigError(f"'{name}' has no function make_task", "docs/tasks.md shows one")
    made = code.call(f"make_task of '{name}'", make, settings)
    if not isinstance(made, Task):
        raise ConfigError(
            f"make_task of '{name}' returned a {type(made).__name__}, expected a Task", "docs/tasks.md shows one"
        )
    if made.signed and settings.plan.loss != "own":
        raise ConfigError(
            f"the losses of '{name}' may be below 0, and the plan says loss = \"{settings.plan.loss}\"",
            'set loss = "own" in the plan, on both sides',
        )
    return made


def _own(folder: Path, config: SiteConfig, plan: Plan, place: torch.device) -> Task:
    """The task of a user's own file."""
    name, wanted = escape(config.task), config.metrics
    if wanted.by or wanted.positive is not None or wanted.threshold != metrics.HALF:
        raise ConfigError(
            f"site.toml has [metrics], and '{name}' is a task of your own",
            "leave [metrics] out; what supervised shows is its score=: docs/tasks.md",
        )
    made = from_file(folder / config.task, Settings(plan, Own(config.settings), folder, place))
    if made.selects_on not in (None, plan.select_on):
        raise ConfigError(
            f"the plan says select_on = \"{plan.select_on}\", and '{name}' measures its {made.selects_on} samples",
            "give supervised or looped validation=; or agree on the other, on both sides",
        )
    safe = guarded(made, plan.seed)
    return _limited(_begun(safe, _tried(safe), folder, plan), plan)


def _limited(task: Task, plan: Plan) -> Task:
    """As [privacy] has it, where the plan has that."""
    return task if plan.loss_limit is None else clipped(task, plan.loss_limit)


def _tried(task: Task) -> nn.Module:
    """See `fresh.tried`; a model's own state_dict, or load_state_dict, may raise anything."""
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = code.call("the model's state", tried, task)
    return model
