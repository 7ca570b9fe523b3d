"""What holds a turn to the model that it began with: that model's answers, as soft targets beside the labels.

Training on one's own data alone forgets what the peer taught; the start of the turn knows it. So each sample's training
loss gets one more term (not-true distillation: Lee et al., NeurIPS 2022, FedNTD). Knows outputs; knows no file.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from alx.errors import ConfigError
from alx.objective import Objective
from alx.tasks import sharding
from alx.tasks.data.samples import Samples, first
from alx.tasks.evaluation import EvaluationBatch
from alx.tasks.objective import PLAIN, weights
from alx.training import Distillation

Term = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(outputs [n, …], the start's [n, …], targets [n, …]) -> what is added to the training loss, [n] or [n, …], at least 0."""

KEPT_BYTES = 1 << 30  # of the start's answers; where all would take more, it is asked anew for each batch


def cross_entropy(outputs: Tensor, start: Tensor, targets: Tensor, temperature: float, *, not_true: bool) -> Tensor:
    """temperature^2 * KL(start || outputs) over the classes.

    Args:
        outputs: logits [n, classes, …].
        start: the same of the model that the turn began with.
        targets: class numbers [n, …]; not for `not_true`, anything. Whole numbers [n, …] are always class numbers.
        temperature: divides both logits.
        not_true: over the classes other than the target. Where there are two, one is left, and a comparison of one says
            nothing: then over both, as far as the start is right (`_trust`).

    Returns:
        [n, …]; 0 where a class number is none of the outputs'.

    Raises:
        ConfigError: targets are no class numbers, and `not_true` needs them.
    """
    z, s = outputs.float(), start.float()
    if temperature != 1:
        z, s = z / temperature, s / temperature
    numbered = not targets.is_floating_point() and targets.ndim == outputs.ndim - 1
    if not_true and not numbered:
        raise ConfigError(
            f"distillation compares classes other than a sample's own, and labels are {targets.dtype} {list(targets.shape)}",
            'classes = "all" in [distillation] compares all of them',
        )
    if not numbered:
        return temperature**2 * _divergence(z, s)
    own, least = targets.long().unsqueeze(1), torch.finfo(z.dtype).min
    known = (own >= 0) & (own < outputs.shape[1])  # a loss may leave others out: ignore_index
    if not not_true:
        return temperature**2 * _divergence(z, s) * known.squeeze(1)
    own = own.where(known, 0)
    if outputs.shape[1] == 2:  # noqa: PLR2004 - two classes
        trust = _trust(start.float().softmax(1).gather(1, own).squeeze(1))
        return temperature**2 * trust * _divergence(z, s) * known.squeeze(1)
    return temperature**2 * _divergence(z.scatter(1, own, least), s.scatter(1, own, least)) * known.squeeze(1)


def _divergence(z: Tensor, s: Tensor) -> Tensor:
    theirs = s.log_softmax(1)
    return (theirs.exp() * (theirs - z.log_softmax(1))).sum(1)


def _trust(right: Tensor) -> Tensor:
    """How far a start is worth holding to about one of two answers: 0 at chance and below, 1 where it is right and sure.

    A first model that knows nothing, and a start that knows the other answer alone, hold nobody back.

    Args:
        right: its probability of the true answer.
    """
    return (2 * right - 1).clamp(min=0)


def binary_cross_entropy(outputs: Tensor, start: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """temperature^2 * KL between both answers to each yes-or-no label, as far as the start is right, [n, …] -> [n, …]."""
    z, s, chance = outputs / temperature, start / temperature, start.sigmoid()
    y = targets.reshape(outputs.shape).to(outputs.dtype)
    soft, entropy = nn.functional.binary_cross_entropy_with_logits, s.sigmoid()
    apart = soft(z, entropy, reduction="none") - soft(s, entropy, reduction="none")
    return temperature**2 * _trust(y * chance + (1 - y) * (1 - chance)) * apart


def term(loss: str, wanted: Distillation, objective: Objective = PLAIN, classes: Sequence[str] = ()) -> Term | None:
    """The plan's [distillation], for one of its losses by name.

    A sample that [objective] makes weigh twice as much is as good as two samples, so its term weighs twice as much too.

    Args:
        loss: the plan's; for `mse` the term is the squared difference of both answers, for `binary_cross_entropy` the KL of
            each label's, as of two classes.
        wanted: the plan's [distillation].
        objective: the plan's [objective].
        classes: the plan's names of classes, or none.

    Returns:
        The term with its weight in it; None where the weight is 0.

    Raises:
        ConfigError: `loss` is none of these.
    """
    if not wanted.weight:
        return None
    weight, temperature, not_true = wanted.weight, wanted.temperature, wanted.classes == "not_true"
    terms: dict[str, Term] = {
        "cross_entropy": lambda z, s, y: weight * cross_entropy(z, s, y, temperature, not_true=not_true),
        "binary_cross_entropy": lambda z, s, y: weight * binary_cross_entropy(z, s, y, temperature),
        "mse": lambda z, s, _y: weight * (z - s) ** 2,
    }
    if loss not in terms:
        raise ConfigError(
            f'[distillation] in the plan cannot tell what loss = "{loss}" compares',
            "weight = 0 leaves it out; or give alx.tasks.supervised a term of your own",
        )
    plain, weigh = terms[loss], weights(loss, objective, classes)
    return plain if weigh is None else lambda z, s, y: plain(z, s, y) * weigh(z, y)


class Start:
    """The model that a turn began with, and what it says of the turn's samples.

    A sample's answer is kept from the first time it is needed, where the data are at hand (`Held`): a data set of a
    user's own may draw at random each time it is asked. It is computed with those that stand beside it in `order`, so that
    it is the same to the bit wherever a run was interrupted.

    Args:
        model: as it is now, a copy that is not trained; asked in evaluation mode.
        forward: makes the function that asks it.
        data: the turn's samples.
        device: where batches go.
        order: each sample once, int64 [n] on the CPU: the first epoch's, where that takes each once.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Callable[[nn.Module], Callable[[Tensor], Tensor]],
        data: Samples,
        device: torch.device,
        order: Tensor,
    ) -> None:
        self._net = model.eval().requires_grad_(requires_grad=False)
        self._forward, self._data, self._device, self._order = forward(self._net), data, device, order
        self._answers: Tensor | None = None
        # of a model in shards each rank asks at once: not one for a block that the others have already
        self._at_hand = hasattr(data, "targets") and not sharding.is_cut(model)
        self._block, self._missing = 0, -1

    @torch.no_grad()
    def of(self, rows: Tensor, inputs: Tensor, *, changed: bool) -> Tensor:
        """Its outputs for a batch.

        Args:
            rows: indices of the batch's samples, int64 [n] on the CPU.
            inputs: the batch as the model is trained on it.
            changed: the inputs are not the samples as they are: they were augmented.
        """
        answers = self._kept() if self._at_hand and not changed else None
        if answers is None:
            return self._ask(inputs.clone())  # a model may write into what it is given
        if self._missing:
            for block in set(self._place[rows].tolist()):
                if not self._there[block]:
                    part = self._order[block * self._block : (block + 1) * self._block]
                    read, _ = self._data.samples_at(part.to(self._data.home))
                    answers[part.to(self._device)] = self._ask(read.to(self._device))
                    self._there[block] = True
                    self._missing -= 1
        return answers[rows.to(self._device)]

    def _ask(self, inputs: Tensor) -> Tensor:
        answer: object = self._forward(inputs)
        if not isinstance(answer, Tensor):
            raise ConfigError(
                f"the model gives a {type(answer).__name__}, and distillation compares one tensor with another",
                "leave out distillation=, or wrap the model in one that gives a single tensor",
            )
        return answer

    def _kept(self) -> Tensor | None:
        """The answers that are kept, if they are; found out, and room made for them, when the first is needed."""
        if self._missing < 0:
            one = first(self._data)[0].to(self._device)
            answer, count = self._ask(one), len(self._order)
            self._missing = 0
            if answer.nbytes * count <= KEPT_BYTES:
                self._block = EvaluationBatch().of(self._net, lambda: one)
                self._answers = answer.new_empty(count, *answer.shape[1:])
                self._place = torch.empty_like(self._order)
                self._place[self._order] = torch.arange(count) // self._block
                self._missing = -(-count // self._block)
                self._there = [False] * self._missing
        return self._answers
