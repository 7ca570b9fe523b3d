"""Do a site's data fit the plan's loss and model? Tried on a sample or two, before any training.

Knows tensors, the plan's loss with its [objective], and the model; reads no file.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, count, escape
from alx.plan import Plan
from alx.tasks import code
from alx.tasks.data.samples import Held, Samples, first
from alx.tasks.objective import losses

TRIED = 2  # samples in training mode: batch norm cannot train on one
_AUXILIARY = (
    "arguments = { aux_logits = false } under [model] in the plan, for torchvision's googlenet and inception_v3; "
    "a model with several outputs needs a task of your own: docs/tasks.md"
)
_ALONE = "batch norm needs two samples a batch: batch_size in the plan, and each site's samples, have to be 2 or more"
_TAKES = (
    "a model of images takes [n, channels, height, width], which [images] in the plan makes of uint8; other numbers go in "
    "as they lie in the file; look at [model] in the plan too"
)
_HINT = "look at loss and [model] in the plan, and at the labels"


def refuse_misfit(
    model: nn.Module, samples: Held, plan: Plan, where: str, device: torch.device, *, trained: bool = False
) -> None:
    """Compare labels, loss and model: a forward pass over one sample in evaluation mode, and over two in training mode.

    Draws from no random state that training uses.

    Args:
        model: the plan's, one to throw away.
        samples: as read.
        plan: the agreement.
        where: the data's name, for messages.
        device: where the model lives.
        trained: whether the samples are trained on.

    Raises:
        ConfigError: says which sample's label cannot be, or why the model cannot take the data.
    """
    labels, loss = samples.targets, plan.loss
    refuse_labels(labels, loss, where)
    outputs = first_outputs(model, samples, where, device, plan)
    refuse_shapes(outputs, labels, loss, where)
    _weighed(outputs, plan)
    if trained:
        with _apart(device):
            _training(model, samples, plan, where, device, min(TRIED, plan.batch_size, len(labels)))


def first_outputs(model: nn.Module, samples: Samples, where: str, device: torch.device, plan: Plan | None = None) -> Tensor:
    """What the model gives for the first sample, [1, …], in evaluation mode.

    Args:
        model: any model.
        samples: their labels are not looked at.
        where: the data's name, for messages.
        device: where the model lives.
        plan: for the remedy, where it says how an input is made.

    Raises:
        ConfigError: it cannot take the sample, or gives something else than one tensor.
    """
    with _apart(device):
        model.eval()
        inputs, _ = first(samples)
        taken = f"the model cannot take {where}, inputs of shape {list(inputs.shape)}: it"
        try:
            outputs = code.call(taken, model, inputs.to(device))
        except ConfigError as error:
            raise ConfigError(error.message, _takes(inputs, plan)) from error
    if not isinstance(outputs, Tensor) or outputs.ndim < 1 or len(outputs) != 1:
        got = f"a tensor of shape {list(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ConfigError(
            f"the model gives {got} for one sample, expected a tensor [1, …]",
            "a model with several outputs needs a task of your own: docs/tasks.md",
        )
    return outputs


def _takes(inputs: Tensor, plan: Plan | None) -> str:
    if plan is None or plan.columns is None:
        return _TAKES
    said = None if plan.model is None else plan.model.arguments.get("inputs")
    told = "" if said is None else f", and [model] says inputs = {said}"
    return f"the plan's [columns] make {inputs[0].numel()} inputs{told}; both sides need the same plan"


def classes(model: nn.Module, samples: Held, device: torch.device) -> int:
    """How many classes a model that fits tells apart, where the loss is of classes; see `refuse_misfit`."""
    return first_outputs(model, samples, "the data", device).shape[1]


@contextlib.contextmanager
def _apart(device: torch.device) -> Iterator[None]:
    """No gradients, and no draw from a random state that others draw from."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
        yield


def _training(model: nn.Module, samples: Held, plan: Plan, where: str, device: torch.device, n: int) -> None:
    """Training asks the model in another mode, in which some give more than one output."""
    inputs, labels = (t.to(device) for t in samples.samples_at(torch.arange(n)))
    try:
        outputs = code.call(f"in training the model cannot take {count(n, 'sample')} of {where}: it", model.train(), inputs)
    except ConfigError as error:  # a second output may need larger images than the first
        hint = _ALONE if "more than 1 value per channel" in error.message else _AUXILIARY
        raise ConfigError(error.message, error.hint or hint) from error
    if not isinstance(outputs, Tensor):
        raise ConfigError(
            f"the model gives a {type(outputs).__name__} in training, expected a tensor [{n}, …] as in evaluation",
            _AUXILIARY,
        )
    loss = losses(plan.loss, plan.objective, plan.class_names)
    code.call(f'loss = "{plan.loss}" of what the model gives in training', loss, outputs, labels)


def _refuse(labels: Tensor, good: Tensor, where: str, expected: str) -> None:
    """Name the first sample whose label is bad."""
    bad = ~good.reshape(len(labels), -1).all(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        got = labels[row].tolist()
        raise ConfigError(
            f"sample {row} of {where} (counted from 0) has the label {escape(str(got))}, expected {expected}", _HINT
        )


def refuse_labels(labels: Tensor, loss: str, where: str) -> None:
    """Compare labels and loss, without a model.

    Args:
        labels: of all samples.
        loss: the plan's.
        where: the data's name, for messages.

    Raises:
        ConfigError: says which sample's label cannot be.
    """
    if loss == "cross_entropy":
        if labels.is_floating_point():
            raise ConfigError(
                f'{where} has labels that are numbers with a fraction (floats), and loss = "cross_entropy" expects '
                "class numbers",
                'an .npz: labels.astype("int64"); a CSV: name the classes in [columns] classes',
            )
        _refuse(labels, labels >= 0, where, "a class number, 0 or more")
    if loss == "binary_cross_entropy":
        _refuse(labels, (labels == 0) | (labels == 1), where, '0 or 1 (loss = "binary_cross_entropy")')


def refuse_shapes(outputs: Tensor, labels: Tensor, loss: str, where: str) -> None:
    """Compare labels, loss and what the model gives for samples: does the loss know what to compare?

    Args:
        outputs: [n, …], of some samples.
        labels: of all samples, which `refuse_labels` has let pass.
        loss: the plan's.
        where: the data's name, for messages.

    Raises:
        ConfigError: they do not fit, or says which sample's label the model does not know.
    """
    gives = f"the model gives {list(outputs.shape[1:])} for a sample, and the labels of {where} are {list(labels.shape[1:])}"
    if loss != "cross_entropy":
        if outputs.shape[1:].numel() != labels.shape[1:].numel():
            raise ConfigError(f'{gives} each: loss = "{loss}" expects as many numbers of both', _HINT)
        return
    if outputs.ndim < 2 or outputs.shape[2:] != labels.shape[1:]:  # noqa: PLR2004 - [n, classes]
        raise ConfigError(f'{gives} each: loss = "cross_entropy" expects [classes] and one class number', _HINT)
    classes = outputs.shape[1]
    _refuse(labels, labels < classes, where, f"0 to {classes - 1}, as the model tells {classes} classes apart")


def _weighed(outputs: Tensor, plan: Plan) -> None:
    """Is there a weight, and a cost, for each thing that the model tells apart?"""
    wanted = plan.objective
    for field in ("class_weights", "class_counts", "costs"):  # of cross_entropy: outputs are [1, classes, …]
        named = len(getattr(wanted, field))
        if named and named != outputs.shape[1]:
            raise ConfigError(
                f"[objective] {field} in the plan has {named} classes, and the model tells {outputs.shape[1]} apart",
                "look at [model] in the plan, and at the classes",
            )
    labels, numbers = outputs[0].numel(), len(wanted.pos_weight)
    if numbers not in (0, 1, labels):
        raise ConfigError(
            f"[objective] pos_weight in the plan has {numbers} numbers, and the model gives {labels} for a sample",
            "one for each label in their order, or one for all",
        )
