"""The agreement: what both sites settled before round 1, one file, identical on both sides.

Knows the fields and their limits; knows no site, no data and no torch. A plan is named by the SHA-256 of the
bytes of its file, so `sha256sum plan.toml` on either side tells whether both have the same one.
"""

import codecs
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from alx.columns import Columns, Names
from alx.disclosure import ALONE, LEAST, Disclosure
from alx.errors import ConfigError, UsageError, escape
from alx.objective import Objective
from alx.officers import BothOfficers, Officers
from alx.privacy import Privacy, loss_limit
from alx.records import FROM_LIST, Finite, Role, Scalar, Strict, explain
from alx.training import Distillation, Optimiser, Training, firm

MAX_PLAN_BYTES = 1 << 20  # a plan is a page; a megabyte leaves room for a long list of columns
MAX_ROUNDS = 1000  # names carry three digits; nobody carries a disk a thousand times
MAX_DIFFERENCES = 10  # told of two plans; a peer's may have a million
SNAPSHOTS = 2  # of a turn after its start, where the plan does not say (docs/decisions/0018-trips.md)
MAX_STEPS = 10_000_000  # the step stands in JSON and in a name; far above any turn

MAX_SIDE = 1 << 14  # pixels: a picture of 3 GB as float32, far above what a network takes

Count = Annotated[int, Field(ge=1, le=MAX_STEPS)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class StepsBySide(Strict):
    """Fixed steps a side."""

    learner: Count = Field(description="optimiser steps of each of the learner's turns")
    provider: Count = Field(description="optimiser steps of each of the provider's turns")


Pattern = Annotated[str, Field(min_length=1, max_length=256)]  # of names of the model's state, as in a shell
INIT_NAME = "init.safetensors"  # in a site, beside plan.toml: the weights that were given to alx init --init


class Init(Strict):
    """How a file for `alx init --init` fits a model that is not its own: [model.init]. Left out, it has all and no more."""

    names: dict[Pattern, Pattern] = Field(
        default_factory=dict,
        description='what tensors of the file are called in the model, as `{ "backbone.*" = "*" }`; each `*` is the same '
        "text on both sides, and the first that fits counts; others keep their names",
    )
    skip: list[Pattern] = Field(
        default_factory=list,
        description='tensors that are not taken, as `"fc.*"`, by their names in the file or in the model, where they stay',
    )

    @model_validator(mode="after")
    def _as_many_stars(self) -> Self:
        for a, b in self.names.items():
            if a.count("*") != b.count("*"):
                raise ValueError(f"[model.init] names: '{escape(a)}' and '{escape(b)}' have not as many *")
        return self


# Inputs and classes of a layer that is solved for: its moments then have 67 MB, and take seconds; a backbone has 2,048.
MOST_SOLVED = 4096


class ModelSource(Strict):
    """Where the model comes from."""

    source: str = Field(
        description="torchvision:NAME, module:function, or file.py:function with the file beside plan.toml",
        pattern=r"^[^:\s]+:[A-Za-z_][A-Za-z0-9_]*$",
    )
    arguments: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, description="keyword arguments")
    freeze: list[Pattern] = Field(
        default_factory=list,
        description='tensors that are not trained, as `"backbone.*"`: they stay at home, and both sides need the same',
    )
    personal: list[Pattern] = Field(
        default_factory=list, description='tensors that each site trains for itself, as `"bn*"`: neither sent nor blended'
    )
    ridge: Annotated[float, Field(ge=1e-6, le=1e9)] | None = Field(
        default=None,
        description="where all but the last linear layer is frozen: the penalty with which it is solved for in the first "
        "round, as one more candidate; the learner's first bundle then tells second moments of its samples' features, "
        "class by class (docs/threat-model.md)",
    )
    init: Init = Field(default_factory=Init, description="how the file for `alx init --init` fits the model")

    def file(self) -> str | None:
        """The name of the file of the user's own that the plan speaks of, if it does."""
        where = self.source.split(":", 1)[0]
        return where if where.endswith(".py") else None


class Images(Strict):
    """How an image becomes the model's input: resized, divided by 255, normalised. The same on both sides."""

    size: Annotated[tuple[Side, Side] | None, FROM_LIST] = Field(
        default=None, description="[height, width]; others are resized to it"
    )
    channels: Literal[1, 3] = Field(default=3, description="1 for grey, 3 for colour, which grey images become too")
    mean: list[Finite] = Field(default_factory=list, description="subtracted, one number a channel; default 0")
    std: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list, description="divides, one a channel")
    classes: Names = Field(default_factory=list, description="class names in label order; image folders need it")

    @model_validator(mode="after")
    def _one_number_a_channel(self) -> Self:
        for name in ("mean", "std"):
            got = len(getattr(self, name))
            if got not in (0, self.channels):
                raise ValueError(f"{name} needs {self.channels} numbers, one a channel, and has {got}")
        return self


class Plan(Strict):
    """What both sites agreed before round 1."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="a short name for people")
    rounds: Annotated[int, Field(ge=1, le=MAX_ROUNDS)] = Field(description="assistance rounds R (paper, Algorithm 1)")
    round_steps: Count | StepsBySide = Field(
        description="steps of a round, shared by the samples that each side sums losses over; or {learner = N, provider = N}"
    )
    sampling_period: Count | None = Field(
        default=None,
        description=f"steps between snapshots (the paper's I); left out: {SNAPSHOTS} snapshots of a turn, 1 under [privacy]",
    )
    batch_size: Count = Field(default=64, description="samples a batch; a step takes one, or as many as accumulate says")
    candidates: Literal["trajectory", "blended"] = Field(
        default="blended", description="trajectory: the paper's snapshots only; blended: mixes with the peer's state too"
    )
    select_on: Literal["training", "validation"] = Field(
        default="training",
        description="the samples that losses are sums over: those trained on, as in the paper, or others kept for it",
    )
    validation_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1,
        description="of each class's samples (of two, one at least), kept for validation where the data have none apart",
    )
    rounding: Literal["none", "bfloat16"] = Field(
        default="none", description="bfloat16: round float32 tensors before they are measured and sent; a third of the size"
    )
    encrypt: bool = Field(default=False, description="encrypt bundles to the peer with age; both sides need `pyrage`")
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(default=0, description="of theta^0 and of every turn")
    loss: Literal["cross_entropy", "binary_cross_entropy", "mse", "own"] = Field(
        default="cross_entropy", description="the objective; own: what the task of the user measures, of any sign"
    )
    objective: Objective = Field(default_factory=Objective, description="what a sample's loss weighs; costs of answers")
    optimiser: Optimiser = Field(description="local training")
    training: Training = Field(default_factory=Training, description="augmentation, and what makes steps faster")
    distillation: Distillation = Field(default_factory=Distillation, description="what holds a turn to its start")
    privacy: Privacy | None = Field(default=None, description="differential privacy for each site's samples")
    disclosure: Disclosure = Field(default_factory=Disclosure, description="the least count that is told")
    officers: BothOfficers | None = Field(default=None, description="who has to approve what a side hands over")
    model: ModelSource | None = Field(default=None, description="the common model; a task of one's own may bring it")
    images: Images | None = Field(default=None, description="how images become inputs")
    columns: Columns | None = Field(default=None, description="how rows of a table become inputs")
    settings: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, description="for a task of one's own")

    @model_validator(mode="before")
    @classmethod
    def _distillation_is_said(cls, values: object) -> object:
        """Whoever reads a plan finds the weight there, whether its file says it or not."""
        if not isinstance(values, dict):
            return values
        table = values.get("distillation", {})
        if not isinstance(table, dict) or table.get("weight") is not None:
            return values
        return {**values, "distillation": {**table, "weight": firm(values.get("loss", "cross_entropy"))}}

    @model_validator(mode="after")
    def _distillation_fits(self) -> Self:
        if self.loss == "mse" and self.distillation.temperature != 1:
            raise ValueError("[distillation] temperature divides logits, and mse has none")
        if self.loss != "cross_entropy" and self.distillation.classes != "not_true":
            raise ValueError('[distillation] classes is for loss = "cross_entropy"')
        return self

    @model_validator(mode="after")
    def _objective_fits(self) -> Self:
        if self.training.balanced and self.loss == "mse":
            raise ValueError("[training] balanced draws by class, and mse has none")
        self.objective.refuse_misfit(self.loss, self.class_names, balanced=self.training.balanced)
        return self

    @model_validator(mode="after")
    def _training_fits(self) -> Self:
        training, lr = self.training, self.optimiser.lr
        if training.no_decay and not self.optimiser.weight_decay:
            raise ValueError("[training] no_decay takes weight_decay away, and [optimiser] has none")
        if (training.schedule.min_lr or 0) >= lr:
            raise ValueError(f"[training] schedule ends at min_lr = {training.schedule.min_lr:g}, and lr is {lr:g}")
        longest = self.round_steps if isinstance(self.round_steps, int) else max(dict(self.round_steps).values())
        if isinstance(training.schedule.warmup, int) and training.schedule.warmup >= longest:
            raise ValueError(
                f"[training] schedule warms up for {training.schedule.warmup} steps, and no turn has more than {longest}"
            )
        if training.measuring == "as_trained" and training.precision == "float32" and not training.compile:
            raise ValueError(
                '[training] measuring = "as_trained" is of precision and compile, and the plan has neither: leave it out'
            )
        if training.patience is not None and self.select_on != "validation":
            raise ValueError('[training] patience goes by validation samples: it needs select_on = "validation"')
        return self

    @model_validator(mode="after")
    def _privacy_fits(self) -> Self:
        if self.privacy is None:
            return self
        training = self.training
        refused = {
            'loss = "own": no sample\'s loss is known': self.loss == "own",
            'select_on = "validation": who is kept for validation goes by all samples': self.select_on == "validation",
            "[training] clip: its own takes that place": training.clip is not None,
            "[training] balanced: a rare sample is drawn more often": training.balanced,
            "[training] accumulate: a step takes one batch, drawn anew": training.accumulate > 1,
            "[training] compile: gradients of single samples are taken in hooks": training.compile,
            '[training] precision = "bfloat16": gradients are clipped in float32': training.precision != "float32",
        }
        for what, is_there in refused.items():
            if is_there:
                raise ValueError(f"[privacy] does not go with {what}")
        if self.loss_limit is None:
            raise ValueError(f"[privacy] loss_clip is needed where {self.loss} is the loss and no classes are named")
        return self

    @model_validator(mode="after")
    def _ridge_fits(self) -> Self:
        if self.model is None or self.model.ridge is None:
            return self
        refused = {
            "[privacy]: moments have no noise": self.privacy is not None,
            f'loss = "{self.loss}": it answers with classes': self.loss != "cross_entropy",
            'select_on = "validation": moments are those of the samples trained on': self.select_on == "validation",
            "[model] personal: the layer is the same on both sides": bool(self.model.personal),
        }
        for what, is_there in refused.items():
            if is_there:
                raise ValueError(f"[model] ridge does not go with {what}")
        return self

    @property
    def ridge(self) -> float | None:
        """The penalty with which the last layer is solved for in the first round; None: it is not."""
        return None if self.model is None else self.model.ridge

    @property
    def loss_limit(self) -> float | None:
        """What no sample's loss counts more than where losses are summed; None: nothing bounds it."""
        return None if self.privacy is None else loss_limit(self.privacy, self.loss, len(self.class_names))

    def approvers(self, role: Role) -> Officers | None:
        """Who has to approve what that side hands over; None where nobody has to."""
        return None if self.officers is None else self.officers.of(role)

    @property
    def least(self) -> int:
        """No number that leaves a site is of fewer samples."""
        return self.disclosure.least or (ALONE if self.loss == "own" else LEAST)

    @property
    def class_names(self) -> list[str]:
        """The classes in label order; none where the plan names none."""
        named = self.images if self.images is not None and self.images.classes else self.columns
        return [] if named is None else list(named.classes)

    @property
    def personal(self) -> list[str]:
        """Patterns of the names of tensors that stay on their own site."""
        return [] if self.model is None else self.model.personal

    @property
    def rounds_weights(self) -> bool:
        """Whether weights are rounded before they are measured and sent."""
        return self.rounding != "none"

    @property
    def summed_over(self) -> str:
        """What a global loss is a sum over, for people; nothing where the task alone knows."""
        noised = "" if self.privacy is None else ", each clipped, and with noise"
        return "" if self.loss == "own" else f" over {self.select_on} samples{noised}"

    def schedule(self, role: Role, own: int, peer: int, end: int | None = None) -> list[int]:
        """The steps of one turn's snapshots: 0, every sampling period, and the last.

        Args:
            role: whose turn.
            own: number of samples of that side.
            peer: number of samples of the other side.
            end: the last step of a turn that ended early; None: it went to its end.
        """
        steps = self.steps(role, own, peer)
        last = steps if end is None else end
        return sorted({*range(0, last + 1, self.period(steps)), last})

    def validation_period(self, steps: int) -> int:
        """Steps between the validations of a turn of so many steps."""
        return max(1, -(-steps // self.training.validations))

    def ends_early(self, steps: int, end: int) -> bool:
        """Whether a turn of so many steps may have ended at the step `end` before: there its validation loss was least.

        That is told only after as many validations more as `patience` says, and of a turn's last step none is needed.
        """
        every, patience = self.validation_period(steps), self.training.patience
        return patience is not None and end > 0 and end % every == 0 and end + patience * every < steps

    def period(self, steps: int) -> int:
        """Steps between the snapshots of a turn of so many steps."""
        few = 1 if self.privacy is not None else SNAPSHOTS  # each more makes the noise of all their losses larger
        return self.sampling_period or max(1, -(-steps // few))

    def steps(self, role: Role, own: int, peer: int) -> int:
        """Optimiser steps of one turn of `role` (paper 4.2: the budget of a round goes by data size).

        Args:
            role: whose turn.
            own: number of samples of that side.
            peer: number of samples of the other side.

        Returns:
            At least one step.
        """
        if isinstance(self.round_steps, StepsBySide):
            return self.round_steps.learner if role == "learner" else self.round_steps.provider
        return max(1, round(self.round_steps * own / (own + peer)))


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan and the exact bytes it was read from."""

    plan: Plan
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal: the plan's name."""
        return hashlib.sha256(self.data).hexdigest()


def parse(data: bytes, where: str = "plan.toml") -> PlanFile:
    """Read a plan out of the bytes of its file.

    Args:
        data: TOML, UTF-8, at most `MAX_PLAN_BYTES`.
        where: the file's name, for messages.

    Raises:
        ConfigError: not TOML, an unknown or missing field, or a value out of range.
    """
    if len(data) > MAX_PLAN_BYTES:
        raise ConfigError(f"{where} has more than {MAX_PLAN_BYTES} bytes: that is no plan")
    if data.startswith(codecs.BOM_UTF8):
        raise ConfigError(f"{where} begins with a byte-order mark, which TOML does not have", "save it as UTF-8 without one")
    try:
        return PlanFile(Plan.model_validate(tomllib.loads(data.decode("utf-8"))), data)
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error)}", "docs/plan.md describes every field") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise ConfigError(f"{where} is not TOML: {escape(str(error))}") from error


def written(plan: Plan) -> bytes:
    """A plan as the bytes of a file that `parse` reads as the same plan; what has its default value is left out."""
    values = plan.model_dump(exclude_defaults=True)
    return "".join(f"{name} = {toml(value)}\n" for name, value in values.items()).encode("utf-8")


def toml(value: object) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    # JSON's numbers and escapes are TOML's too, but for DEL
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def altered(plan: Plan, changes: Mapping[str, object]) -> PlanFile:
    """The same plan with other values, as a file of its own.

    Args:
        plan: as it is.
        changes: by field; of a table, those of its fields that change.

    Raises:
        ConfigError: a value is out of range.
    """
    values = plan.model_dump(exclude_defaults=True)
    for name, value in changes.items():
        values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    try:
        made = Plan.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"the plan: {explain(error)}", "docs/plan.md describes every field") from error
    return PlanFile(made, written(made))


def load(path: Path) -> PlanFile:
    """Read the plan file at `path`.

    Raises:
        UsageError: there is no such file.
        ConfigError: see `parse`.
    """
    if not path.is_file():
        raise UsageError(f"there is no plan '{escape(str(path))}'")
    with path.open("rb") as file:
        return parse(file.read(MAX_PLAN_BYTES + 1), path.name)


def differences(ours: Plan, theirs: Plan) -> list[str]:
    """The fields in which two plans differ, each as `field: here …, there …`: `MAX_DIFFERENCES`, and the rest counted.

    The order of a table's names counts too, where columns are inputs and rules are tried in the order written.
    """
    a, b = _flat(ours.model_dump()), _flat(theirs.model_dump())
    here, there = _orders(ours), _orders(theirs)
    a |= {key: names for key, names in here.items() if key in there and sorted(names) == sorted(there[key])}
    b |= {key: there[key] for key in a.keys() & here.keys()}
    differ = [key for key in dict.fromkeys([*a, *b]) if repr(a.get(key)) != repr(b.get(key))]
    told = [f"{escape(key)}: here {_shown(a.get(key))}, there {_shown(b.get(key))}" for key in differ[:MAX_DIFFERENCES]]
    return [*told, f"and {len(differ) - len(told)} more"] if len(differ) > len(told) else told


def _shown(value: object) -> str:
    return "nothing" if value is None else escape(repr(value))


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _orders(plan: Plan) -> dict[str, list[str]]:
    """Names in the order written, where that counts: columns are inputs in it, and of rules the first that fits is taken."""
    columns = plan.columns
    orders = {} if plan.model is None else {"model.init.names": [*plan.model.init.names]}
    if columns is None:
        return orders
    return orders | {
        "columns.numeric": [*columns.numeric],
        "columns.date": [*columns.date],
        "columns.categorical": [*columns.categorical],
        "columns.classes": [*columns.classes],
    }
