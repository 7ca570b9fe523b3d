"""Steps that tell little of any one sample: DP-SGD (Abadi et al., 2016), with the gradients of single samples from Opacus.

Knows samples, a model and what guards a turn; knows no budget. Each sample is drawn into a step's batch by chance and by
itself, its gradient is shortened to the clip, and noise is added to the sum: also where the batch is empty. Who was drawn,
and the noise, come from a key that stays at home (`alx.learning.noise`), not from the plan's seed.
"""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from alx.errors import AlxError, ConfigError, escape
from alx.learning import state, trajectory
from alx.learning.noise import KEY_BYTES, Guard, Noise
from alx.learning.task import Paced, Task
from alx.tasks import code
from alx.tasks.clipped import guarded
from alx.tasks.data import samples
from alx.tasks.supervised import MiniBatches

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        from opacus.grad_sample import GradSampleHooks
        from opacus.optimizers import DPOptimizer
        from opacus.optimizers.optimizer import _check_processed_flag, _mark_as_processed
    except ImportError as error:
        raise ConfigError(
            "[privacy] in the plan needs Opacus, which is not installed", "pip install 'alx[privacy]'"
        ) from error

TRIED = 16  # samples of the trial, on the average: as many gradients as weights lie in memory for each
NEAR = 1e-4  # relative and absolute: what a sample's loss may differ by, by rounding alone, in batches of one size
STEP, BATCH = "step", "batch"  # purposes of the stream: a step's noise, who is in its batch


class _Noised(DPOptimizer):  # type: ignore[misc] # Opacus has no types
    """Opacus's optimiser, with noise that can be drawn again and not foretold; added in float64, before it is rounded.

    What a sum in float64 tells by its last digits (Mironov, 2012) is cut off with them: weights are float32.
    """

    place = 0
    """The step's number in the turn."""

    def __init__(self, optimiser: torch.optim.Optimizer, guard: Guard, expected: float) -> None:
        super().__init__(
            optimiser, noise_multiplier=guard.multiplier, max_grad_norm=guard.clip, expected_batch_size=expected
        )
        self._guard = guard

    def clip_and_accumulate(self) -> None:
        """A sample whose gradient is not finite counts 0 in every parameter: no clip shortens it, and it would end the turn.

        Opacus itself multiplies by 0 where the norm alone is beyond float32.
        """
        if len(self.grad_samples[0]):
            lost = torch.stack([~each.isfinite().reshape(len(each), -1).all(1) for each in self.grad_samples]).any(0)
            for each in self.grad_samples:
                each[lost] = 0.0
        super().clip_and_accumulate()

    def add_noise(self) -> None:
        """One stream for all parameters, in their order."""
        sizes = [p.summed_grad.numel() for p in self.params]
        drawn = self._guard.noise.normal(STEP, self.place, sum(sizes)) * (self.noise_multiplier * self.max_grad_norm)
        for p, part in zip(self.params, torch.split(torch.from_numpy(drawn), sizes), strict=True):
            _check_processed_flag(p.summed_grad)
            noise = part.view(p.summed_grad.shape)
            p.grad = (p.summed_grad.cpu().double() + noise).to(p).view_as(p)
            _mark_as_processed(p.summed_grad)


class PrivateBatches(MiniBatches):
    """The trainer of a supervised task under [privacy].

    Args:
        guard: clip, noise, and who is drawn.
        model, seed, data, loss, optimiser, batch_size, device, training, distillation, copied: as `MiniBatches` has them;
            `batch_size` is what a batch has on the average, and what a step's sum is divided by.

    Raises:
        ConfigError: the model mixes samples, or Opacus cannot tell its samples apart.
    """

    def __init__(
        self,
        guard: Guard,
        model: nn.Module,
        seed: int,
        data: Any,
        loss: Any,
        optimiser: Callable[[Any], torch.optim.Optimizer],
        *more: Any,
    ) -> None:
        _refuse_known(model)
        for part in model.modules():
            if getattr(part, "inplace", False) is True:  # the same numbers without; Opacus's hooks need it (opacus#828)
                setattr(part, "inplace", False)  # noqa: B010 - torch types an attribute as a tensor or a module
        self._guard, self._taken, self._last, self._until = guard, 0, 0.0, 0
        self._expected = guard.rate * len(samples.of(data))
        super().__init__(model, seed, data, loss, lambda p: self._noised(optimiser(p)), *more)
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self._model = model
        with _told("the model"):
            self._hooks = GradSampleHooks(model, loss_reduction="sum")

    def _noised(self, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
        self._steps = _Noised(optimiser, self._guard, self._expected)
        return self._steps

    def _go_to(self, order: Tensor, at: int) -> None:
        """Place a batch's samples where they are used. No epoch is drawn here, so none is read ahead."""
        self._order, self._at, self._indices = order, at, order.to(self._data.home)

    def pace(self, steps: int) -> None:
        """How many steps the turn has: beyond the last one nobody is drawn."""
        self._until = steps
        super().pace(steps)

    def _drawn(self, step: int) -> Tensor:
        """Who is in a step's batch."""
        drawn = self._guard.noise.uniform(BATCH, step, len(self._data)) < self._guard.rate
        return torch.from_numpy(np.flatnonzero(drawn))

    def _begin_next(self) -> None:
        """Have the next batch read while this one is at work: it is read whole, and but once."""
        coming = self._drawn(self._taken + 1) if self._taken + 1 < self._until else torch.empty(0, dtype=torch.int64)
        samples.ahead(self._data, [coming.to(self._data.home)] if len(coming) else [])

    def step(self) -> float:
        """One step on the samples that chance draws: they may be many, or none.

        Returns:
            Their mean loss, without noise, for this site's own eyes, without those that are not finite; where there is none,
            that of the step before.
        """
        chosen = self._drawn(self._taken)
        self._descent.zero_grad()
        if len(chosen):
            self._go_to(chosen, 0)
            with _told("a training step"):
                losses = self._per_sample().cpu().double()
            told = losses[losses.isfinite()]
            self._last = float(told.mean()) if len(told) else self._last
        else:
            self._begin_next()
        for p in self._trained:  # what no sample's loss depends on has a gradient of 0, and noise all the same
            if p.grad_sample is None:  # type: ignore[attr-defined]
                p.grad_sample = p.new_zeros((len(chosen), *p.shape))  # type: ignore[attr-defined]
            if len(p.grad_sample) != len(chosen):  # type: ignore[attr-defined]
                raise ConfigError(
                    f"a layer of the model has {len(p.grad_sample)} gradients for {len(chosen)} samples: "  # type: ignore[attr-defined]
                    "[privacy] would clip parts of a sample, or several at once",
                    "give each layer the samples of a batch in its first dimension, and what else there is in others",
                )
        self._steps.place = self._taken
        self._descent.step()
        self._taken += 1
        return self._last

    def _per_sample(self) -> Tensor:
        """Leave the gradient of each sample of the batch with the parameters; the losses, [n, …]."""
        whole = slice(0, len(self._indices))
        inputs, targets = self._batch(whole, whole)
        self._begin_next()
        answers = None
        if self._start is not None:
            answers = self._start.of(self._order, inputs, changed=self._training.augments)
        outputs = self._forward(inputs)
        losses = self._loss(outputs, targets)
        each = losses.reshape(len(inputs), -1).mean(1)
        if self._term is not None and answers is not None:
            each = each + self._term(outputs, answers, targets)
        torch.autograd.backward(each.sum())
        return losses.detach()

    def refuse_mixing(self) -> None:
        """Put another sample in the place of one of a batch, and ask for the losses again: only that one's may be another.

        In training and in evaluation, with the same random numbers; and once more with the weights moved, as a layer that
        begins with 0 hides what is before it. The model is to be thrown away.

        Raises:
            ConfigError: another's loss changed, or a weight or buffer did.
        """
        count = min(TRIED, len(self._data))
        whole = slice(0, count)
        self._go_to(torch.arange(count) * len(self._data) // count, 0)
        inputs, targets = self._batch(whole, whole)
        other = int((inputs != inputs[:1]).reshape(count, -1).sum(1).argmax())  # the one that is least like the first
        swapped = [torch.cat([each[other : other + 1], each[1:]]) for each in (inputs, targets)]
        for again in (False, True):
            for p in self._trained if again else ():
                p.data.add_(torch.randn_like(p) * max(1, math.prod(p.shape[1:])) ** -0.5)
            before = self._held()
            first, second = self._others(inputs, targets), self._others(*swapped)
            for name, digest in self._held().items():
                if digest != before.get(name):
                    raise ConfigError(
                        f"the model writes into '{escape(name)}' when it is asked: [privacy] cannot bound what that tells",
                        "a layer that keeps nothing of its inputs, in the plan's model on both sides",
                    )
            for mode, one, two in zip(("training", "evaluation"), first, second, strict=True):
                if not torch.allclose(one, two, rtol=NEAR, atol=NEAR, equal_nan=True):
                    raise ConfigError(
                        f"in {mode} a sample's loss depends on other samples: [privacy] cannot bound what it tells of one",
                        "a model and a loss that take each sample by itself, in the plan on both sides",
                    )

    def _held(self) -> dict[str, str]:
        """The digest of each parameter and buffer by name, of those that no state has too."""
        return state.digests(dict((*self._model.named_parameters(), *self._model.named_buffers())))

    def _others(self, inputs: Tensor, targets: Tensor) -> list[Tensor]:
        """The losses of a batch without its first sample, in training and in evaluation."""
        out = []
        for training in (True, False):
            self._model.train(training)
            trajectory.seed_all(0)
            with torch.no_grad():
                out.append(self._loss(self._forward(inputs), targets).reshape(len(inputs), -1)[1:])
        return out

    def state_dict(self) -> dict[str, Any]:
        """Steps taken, and the optimiser. The key is not in it: whoever goes on has it."""
        augmented = None if self._augmented is None else self._augmented.state()
        return {"descent": self._descent.state_dict(), "taken": self._taken, "last": self._last, "augmentation": augmented}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._descent.load_state_dict(state["descent"])
        self._taken, self._last = state["taken"], state["last"]
        if self._augmented is not None:
            self._augmented.go_on(state["augmentation"])


def _refuse_known(model: nn.Module) -> None:
    """Layers that are known to take one sample's numbers into another's, or to keep them; others a trial finds.

    Raises:
        ConfigError: names it.
    """
    for name, part in model.named_modules():
        if getattr(part, "max_norm", None) is not None:
            raise ConfigError(
                f"'{escape(name)}' of the model has max_norm, which shortens the weights that it looks up: "
                "without noise they tell what a sample holds",
                "leave max_norm out, in the plan's model on both sides",
            )
        keeps = isinstance(part, _BatchNorm) or (isinstance(part, _InstanceNorm) and part.track_running_stats)
        if keeps and part.training:  # what [model] freeze has at rest does neither
            raise ConfigError(
                f"'{escape(name)}' of the model is batch norm, which mixes the samples of a batch and keeps their means: "
                "[privacy] cannot bound what it tells of one",
                "GroupNorm in its place, in the plan's model on both sides; or freeze it in [model]",
            )


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Opacus's refusals, and autograd's where a model writes into what a hook looks at, in our words.

    Raises:
        ConfigError: there was one.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook")  # of the first layer: inputs need no gradient
            yield
    except (NotImplementedError, RuntimeError, ValueError, AttributeError, TypeError) as error:
        if isinstance(error, AlxError):
            raise
        if "inplace" in str(error) or "in-place" in str(error):
            raise ConfigError(
                f"{what} writes into the output of a layer in place, as `y += shortcut` does, and then gradients of single "
                "samples cannot be taken (opacus#828)",
                "write y = y + shortcut, in the plan's model on both sides",
            ) from error
        raise ConfigError(
            f"{what}: Opacus cannot take gradients of single samples: {code.told(error)}",
            "layers that Opacus knows, in the plan's model on both sides: docs/privacy.md",
        ) from error


def tried(task: Task) -> None:
    """Take one step on a model that is thrown away: what cannot be private is told before any budget is spent.

    Raises:
        ConfigError: see `PrivateBatches`, and its `refuse_mixing`; the task cannot be private at all.
    """
    model = task.new_model()
    model.train()
    count = 1 if task.sample_losses is None else task.sample_losses.count
    few = Guard(Noise(bytes(KEY_BYTES)), 1.0, min(1.0, TRIED / count), 1.0)
    trainer = guarded(task, few).trainer(model, 0)
    if isinstance(trainer, Paced):
        trainer.pace(1)
    trainer.step()
    if isinstance(trainer, PrivateBatches):
        trainer.refuse_mixing()
