"""The last layer of a model whose other parts are frozen: its inputs, seen by a hook, summed and solved for.

Knows a task, its samples and the plan's penalty; knows no file. Nothing is augmented: a feature is what the frozen part
answers in evaluation mode.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning.head import SCALES, Head, Sums, solve
from alx.learning.task import State, Task
from alx.plan import MOST_SOLVED
from alx.tasks.data import samples
from alx.tasks.data.samples import Samples
from alx.tasks.evaluation import EvaluationBatch
from alx.tasks.objective import Loss


class _Batch(NamedTuple):
    """What one batch becomes on its way: the layer's inputs [n, features] and the class of each sample [n]."""

    features: Tensor
    classes: Tensor


def of(task: Task, model: nn.Module, own: Samples, loss: Loss, ridge: float, place: torch.device) -> Head:
    """What the task says of its last layer; one sample is tried.

    Args:
        task: its models, of which nothing but that layer travels.
        model: one of them, to look at.
        own: the samples that it trains on, each with the number of its class.
        loss: one loss a sample.
        ridge: the penalty.
        place: where models are.

    Raises:
        ConfigError: what travels is not one linear layer, or that is not the model's last, or too large.
    """
    name, layer = _layer(task, model)
    features, classes = layer.in_features, layer.out_features
    if max(features, classes) > MOST_SOLVED:
        raise ConfigError(
            f"'{escape(name)}' has {features} inputs and {classes} outputs, [model] ridge solves for {MOST_SOLVED} at most",
            "leave ridge out of the plan",
        )
    batches = EvaluationBatch()
    bias = layer.bias is not None
    weights = partial(solve, ridge=ridge, bias=bias)

    def seen(net: nn.Module) -> Iterator[_Batch]:
        at_once = batches.of(net, lambda: samples.first(own)[0].to(place))
        rows = torch.arange(len(own)).to(own.home)
        samples.ahead(own, torch.split(rows, at_once))
        for part in torch.split(rows, at_once):
            inputs, targets = own.samples_at(part)
            yield _Batch(_inputs(net, name, inputs.to(place)), targets.reshape(-1).cpu().long())

    def sums(net: nn.Module) -> Sums:
        second = torch.zeros(features + 1, features + 1, dtype=torch.float64)
        by_class = torch.zeros(features + 1, classes, dtype=torch.float64)
        for batch in seen(net):
            f = torch.cat([batch.features.cpu().double(), torch.ones(len(batch.classes), 1, dtype=torch.float64)], dim=1)
            second += f.T @ f
            by_class += f.T @ nn.functional.one_hot(batch.classes, classes).double()
        return Sums(second, by_class)

    def solved(net: nn.Module, both: Sums) -> State | None:
        found = weights(both)
        if found is None:
            return None
        weight, last = found[:features].T, found[features] if bias else None
        losses = torch.zeros(len(SCALES), dtype=torch.float64)
        for batch in seen(net):
            logits = batch.features.cpu().double() @ weight.T + (0.0 if last is None else last)
            for i, scale in enumerate(SCALES):
                losses[i] += loss((scale * logits).float().to(place), batch.classes.to(place)).double().sum().cpu()
        best = SCALES[int(torch.argmin(losses))]
        state = task.state(net)
        made = {f"{name}.weight": best * weight} | ({} if last is None else {f"{name}.bias": best * last})
        out = {each: made[each].to(value.dtype) for each, value in state.items()}
        return out if all(bool(value.isfinite().all()) for value in out.values()) else None

    model.eval()
    with torch.no_grad():
        _inputs(model, name, samples.first(own)[0].to(place))
    model.train()
    return Head(features, classes, partial(_counts, own, classes), weights, sums, solved)


def _layer(task: Task, model: nn.Module) -> tuple[str, nn.Linear]:
    """The one linear layer that travels, and its name.

    Raises:
        ConfigError: it is another kind, or not alone.
    """
    sent = set(task.state(model))
    for name, layer in model.named_modules():
        own = {f"{name}.weight"} | (set() if getattr(layer, "bias", None) is None else {f"{name}.bias"})
        if type(layer) is nn.Linear and own == sent and layer.weight.is_floating_point():
            return name, layer
    raise ConfigError(
        f"[model] ridge solves for one linear layer, and what is trained is '{escape(', '.join(sorted(sent)), 200)}'",
        "freeze all the others under [model], or leave ridge out",
    )


def _inputs(net: nn.Module, name: str, batch: Tensor) -> Tensor:
    """What comes into the layer, [n, features].

    Raises:
        ConfigError: the model asks it not once, or not last.
    """
    seen: list[tuple[Any, Any]] = []
    hook = net.get_submodule(name).register_forward_hook(lambda _layer, inputs, outputs: seen.append((inputs[0], outputs)))
    try:
        answer = net(batch)
    finally:
        hook.remove()
    if len(seen) != 1 or seen[0][0].ndim != 2 or not isinstance(answer, Tensor) or not _same(seen[0][1], answer):  # noqa: PLR2004 - [n, features]
        raise ConfigError(
            f"[model] ridge solves for the model's last layer, and '{escape(name)}' is not what gives the model's answer",
            "leave ridge out of the plan",
        )
    features: Tensor = seen[0][0]
    return features


def _same(a: Tensor, b: Tensor) -> bool:
    """Where a feature is NaN, the answer is too, and that is for another message."""
    return torch.equal(a.nan_to_num(), b.nan_to_num())


def _counts(own: Samples, classes: int) -> list[int]:
    return torch.bincount(samples.targets(own).reshape(-1).long(), minlength=classes).tolist()
