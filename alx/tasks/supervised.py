"""A Task out of a model, a data set and a loss: mini-batches in a seeded order, losses summed in float64.

Knows tensors and data sets, and the plan's [training]; knows no file. A loss is measured in float32 by the model as it
was made, unless [training] says `measuring`: both sites measure in the same way. An existing PyTorch script needs about
three edits: the loss with `reduction="none"`, the model behind a function, and the loop gone.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from alx.errors import ConfigError, escape
from alx.learning.measure import sums
from alx.learning.noise import Guard
from alx.learning.task import Canaries, LossSum, Members, Objective, SampleLosses, Scores, Task, Trainer, Values
from alx.tasks import augmentation, gradients, probe, ranks, sharding
from alx.tasks.answers import gathered
from alx.tasks.augmentation import Augmented
from alx.tasks.data import samples
from alx.tasks.data.samples import Samples
from alx.tasks.descent import Descent
from alx.tasks.distillation import Start, Term
from alx.tasks.epoch import Epochs, by_class, next_batches
from alx.tasks.evaluation import EvaluationBatch
from alx.tasks.fresh import refuse_model
from alx.tasks.objective import Loss, Score, accuracy, refuse_optimiser
from alx.training import Training

PLAIN = Training()


class MiniBatches:
    """The trainer of a supervised task: epoch by epoch (`alx.tasks.epoch`), in an order of its own seed.

    The order is moved to the data once an epoch.

    Args:
        model: trained in place.
        seed: of the order, and of the augmentation.
        data: the site's own, in any form that `samples.of` takes.
        loss: one loss a sample.
        optimiser: makes an optimiser of the parameters.
        batch_size: samples a batch, of which a step takes one, or as many as [training] accumulates; the last batch of an
            epoch may be smaller. A single sample left over joins the batch before it, as batch norm cannot train on one.
        device: where batches go.
        training: the plan's [training].
        distillation: what holds the model to what it is now, or None.
        copied: makes another model in the same state.
    """

    def __init__(
        self,
        model: nn.Module,
        seed: int,
        data: Samples | Dataset[Any],
        loss: Loss,
        optimiser: Callable[[Any], torch.optim.Optimizer],
        batch_size: int,
        device: torch.device,
        training: Training = PLAIN,
        distillation: Term | None = None,
        copied: Callable[[nn.Module], nn.Module] = copy.deepcopy,
    ) -> None:
        if training.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._ranks = ranks.here()
        if self._ranks is not None:
            self._ranks.train(model)
        self._forward, self._data, self._loss = _forward(model, training, device), samples.of(data), loss
        self._batch_size, self._device, self._training = batch_size, device, training
        self._descent = Descent(model, optimiser, training)
        # shards' gradients are summed as they are made
        self._parameters = [] if sharding.is_cut(model) else [p for p in model.parameters() if p.requires_grad]
        self._epochs = Epochs(self._data, seed, balanced=training.balanced)
        self._term, self._start = distillation, None if distillation is None else self._began(copied(model), seed)
        self._augmented = Augmented(self._data, training.augment, seed) if training.augments else None
        self._go_to(torch.empty(0, dtype=torch.int64), 0)
        self._shown: tuple[Tensor, torch.cuda.Event] | None = None

    def _began(self, model: nn.Module, seed: int) -> Start:
        """The model as it is now: a run is made at its start, wherever it goes on from."""
        order = torch.randperm(len(self._data), generator=torch.Generator().manual_seed(seed))
        plain = self._training.model_copy(update={"compile": False})
        return Start(model, lambda net: _forward(net, plain, self._device), self._data, self._device, order)

    def _go_to(self, order: Tensor, at: int) -> None:
        """Place an epoch's order where it is used."""
        self._order, self._at = order, at
        self._indices = order.to(self._data.home)
        coming = next_batches(at, len(order), self._batch_size, len(order))
        samples.ahead(self._data, (self._indices[self._read(each)] for each in coming))

    def _read(self, here: slice) -> slice:
        """What of a batch this rank reads: its part; where rows are drawn for, each after the one before it, all of it."""
        if self._ranks is None or self._augmented is not None:
            return here
        return ranks.part(here, self._ranks.rank, self._ranks.world).rows

    def _batch(self, here: slice, mine: slice) -> tuple[Tensor, Tensor]:
        """A batch as the model is trained on it, on the device: this rank's rows of it."""
        if self._augmented is None:
            inputs, targets = self._data.samples_at(self._indices[mine])
        else:
            own = slice(mine.start - here.start, mine.stop - here.start)
            inputs, targets = (t[own] for t in self._augmented.samples_at(self._indices[here]))
        inputs, targets = (samples.moved(t, self._device) for t in (inputs, targets))
        if self._training.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs, targets

    def pace(self, steps: int) -> None:
        """How many steps the turn has: its learning rate may go by them."""
        self._descent.pace(steps)

    def rate(self) -> float | None:
        """The learning rate of the last step."""
        return self._descent.rate()

    def step(self) -> float:
        """One optimiser step on the next batch, or on as many as [training] accumulates: by the mean of all their samples.

        Returns:
            Their mean loss, without what distillation adds; on a CUDA device that of the step before, as it is still
            at work on this one.
        """
        if self._at >= len(self._order):
            self._go_to(self._epochs.draw(), 0)
        here = next_batches(self._at, len(self._order), self._batch_size, self._training.accumulate)
        begun, self._at = self._at, here[-1].stop
        self._descent.zero_grad()
        if len(here) == 1:
            loss = self._backward(here[0])
        else:
            taken = self._at - begun
            loss = torch.stack([self._backward(each, (each.stop - each.start) / taken) for each in here]).sum()
        if self._ranks is not None:
            loss = gradients.summed(self._ranks, self._parameters, loss)
        self._descent.step()
        return self._told(loss)

    def _backward(self, here: slice, share: float = 1.0) -> Tensor:
        """The gradients of one batch, added to those that are there, and its mean loss: both times its share of the step.

        Of several ranks each has its rows of the batch, and a share that is by so much smaller.
        """
        mine = here
        if self._ranks is not None:
            mine, part = self._ranks.part(here)
            share *= part
        inputs, targets = self._batch(here, mine)
        answers = None
        if self._start is not None:
            answers = self._start.of(self._order[mine], inputs, changed=self._training.augments)
        outputs = self._forward(inputs)
        loss = self._loss(outputs, targets).mean()
        whole = loss if self._term is None or answers is None else loss + self._term(outputs, answers, targets).mean()
        torch.autograd.backward(whole if share == 1 else whole * share)
        return loss.detach() if share == 1 else loss.detach() * share

    def _told(self, loss: Tensor) -> float:
        """The loss as a number, without waiting for a GPU to come to it: the first is waited for, then the one before."""
        if not loss.is_cuda:
            return float(loss)
        copied = loss.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied[1].record(torch.cuda.current_stream(loss.device))
        (value, done), self._shown = self._shown or copied, copied
        done.synchronize()
        return float(value)

    def state_dict(self) -> dict[str, Any]:
        """Optimiser, order, place in it, and the generators of those to come and of what is done to pictures."""
        return {
            "descent": self._descent.state_dict(),
            "order": self._order,
            "at": self._at,
            "generator": self._epochs.state(),
            "augmentation": None if self._augmented is None else self._augmented.state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._descent.load_state_dict(state["descent"])
        self._go_to(state["order"], state["at"])
        self._epochs.go_on(state["generator"])
        if self._augmented is not None:
            self._augmented.go_on(state["augmentation"])

    def kept(self) -> dict[str, Any]:
        """The optimiser's state."""
        return self._descent.kept()

    def take_up(self, kept: dict[str, Any]) -> None:
        """Go on with the optimiser's state of another turn."""
        self._descent.take_up(kept)


def _measured(model: nn.Module, training: Training, device: torch.device) -> Callable[[Tensor], Any]:
    """How a model is asked in measuring; where it is compiled, by one graph for batches of all sizes."""
    return model if training.measuring == "plain" else _forward(model, training, device, dynamic=True)


def _forward(
    model: nn.Module, training: Training, device: torch.device, *, dynamic: bool = False
) -> Callable[[Tensor], Any]:
    """How a model is asked in training: its outputs are float32 whatever it computes in."""
    net: Callable[[Tensor], Any] = model
    if training.compile:
        # One graph for each size of batch: which one is used must not depend on where a run was interrupted. Layouts as
        # they are: where Inductor chooses them on a CPU, convolutions before a max-pool got gradients of 0 (torch 2.13).
        net = torch.compile(model, dynamic=dynamic, options={"layout_optimization": False})
    if training.precision == "float32":
        return net

    def autocast(inputs: Tensor) -> Any:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            outputs = net(inputs)
        return _float32(outputs)

    return autocast


def _float32(outputs: Any) -> Any:
    """The same with every bfloat16 in it as float32: a loss of small differences needs more than 8 bits."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
    return type(outputs)(map(_float32, outputs)) if type(outputs) in (tuple, list) else outputs


def supervised(
    model: Callable[[], nn.Module],
    data: Samples | Dataset[Any],
    loss: Loss,
    optimiser: Callable[[Any], torch.optim.Optimizer],
    *,
    batch_size: int = 64,
    validation: Samples | Dataset[Any] | None = None,
    held_out: Samples | Dataset[Any] | None = None,
    score: Score | None = None,
    device: str | torch.device = "cpu",
    training: Training = PLAIN,
    distillation: Term | None = None,
    signed: bool = False,
    canaries: tuple[Samples, Tensor] | None = None,
) -> Task:
    """Make a Task of a supervised problem.

    Args:
        model: a function that makes the model; weights drawn from torch's global random state.
        data: the site's own samples, each (input, target); a TensorDataset is indexed without a loop, and so is a
            data set with a method `samples_at(indices) -> (inputs, targets)`, indices int64 [n] on the CPU.
        loss: one loss a sample, float [n]; `nn.CrossEntropyLoss(reduction="none")` for example. Where a sample has
            several numbers, [n, …], its loss is their mean.
        optimiser: `lambda parameters: torch.optim.Adam(parameters, lr=1e-3)` for example.
        batch_size: samples a batch; a step takes one, or as many as [training] accumulates.
        validation: samples that losses are summed over in place of `data`: those that models are selected on, where the plan
            says `select_on = "validation"`.
        held_out: samples kept apart; what the model is worth there is shown, and never sent.
        score: (all outputs, all targets) -> what they are worth: a number, higher is better, or numbers by name, of which
            the first is; it takes the memory of all outputs at once. None: accuracy, a batch at a time, for targets that
            are class numbers.
        device: where the model, the batches and, where there is room, a data set that is indexed without a loop live.
        training: `settings.plan.training`: schedule, clipping, accumulation, augmentation, balance and speed.
        distillation: `settings.distillation`, which holds a turn to its start; the model then gives one tensor.
        signed: a sample's loss may be below 0; the plan then has to say `loss = "own"`.
        canaries: samples that a fair coin decided about, and of each whether it is in `data`, bool [n] on the CPU; with
            `held_out` alone.

    Raises:
        ConfigError: an argument is of another kind; there are canaries and no held_out; the data set is empty or cannot be
            counted, or is not what [training] is for; when used, a sample is no (input, target), or the loss gives no number
            for each sample.
    """
    refuse_model(model, "model")
    refuse_optimiser(optimiser)
    _refuse_other_kinds({"data": data, "validation": validation, "held_out": held_out}, loss, score, batch_size)
    place = torch.device(device)
    own, kept = samples.of(data), None if held_out is None else samples.of(held_out)
    if training.balanced:
        by_class(own)  # what it refuses is told before any training
    if training.augments or training.channels_last:
        augmentation.refuse_misfit(training, own)
    own, kept = samples.placed(own, place), None if kept is None else samples.placed(kept, place)
    judged = own if validation is None else samples.placed(samples.of(validation), place)
    batches = EvaluationBatch()

    def values(nets: Sequence[nn.Module], where: Samples, indices: Tensor, what: Loss) -> Tensor:
        """One value a sample at each model, float64 [models, samples]."""
        out = torch.empty(len(nets), len(indices), dtype=torch.float64)
        asked = [_measured(net, training, place) for net in nets]
        at_once = batches.of(nets[0], lambda: where.samples_at(indices[:1].to(where.home))[0].to(place))
        samples.ahead(where, (part.to(where.home) for part in torch.split(indices, at_once)))
        for at in range(0, len(indices), at_once):
            wanted = indices[at : at + at_once]
            read = samples.copies(len(nets), *(t.to(place) for t in where.samples_at(wanted.to(where.home))))
            with torch.no_grad():  # not inference mode: what a model keeps of it for all models could not be trained with
                found = torch.stack(
                    [_one_each(what(ask(x), y), len(wanted)) for ask, (x, y) in zip(asked, read, strict=True)]
                )
            # to the CPU first: some accelerators have no float64
            out[:, at : at + at_once] = found.cpu().to(torch.float64).mean(2)
        return out

    def new_model() -> nn.Module:
        made = model()
        return made if any(p.is_meta for p in made.parameters()) else made.to(place)  # one to be cut is placed then

    def trainer(net: nn.Module, seed: int) -> Trainer:
        return MiniBatches(
            net, seed, own, loss, optimiser, batch_size, place, training, distillation, partial(_copy, new_model)
        )

    def private(guard: Guard) -> Callable[[nn.Module, int], Trainer]:
        from alx.tasks.private import PrivateBatches  # noqa: PLC0415 - Opacus: six seconds

        more = batch_size, place, training, distillation, partial(_copy, new_model)
        return lambda net, seed: PrivateBatches(guard, net, seed, own, loss, optimiser, *more)

    def objective(seed: int) -> Objective:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            inputs, targets = (t.to(place) for t in samples.first(own))
            outputs = new_model().eval()(inputs)
        return probe.values(loss, outputs, targets, seed) if isinstance(outputs, Tensor) and outputs.ndim else {}

    return Task(
        new_model=new_model,
        trainer=trainer,
        measure=lambda net: LossSum(sums(lambda part: values([net], judged, part, loss), len(judged))[0], len(judged)),
        held_out=None if kept is None else _worth(values, kept, place, score),
        signed=signed,
        training=training,
        selects_on="training" if validation is None else "validation",
        trained=len(own),
        sample_losses=None if signed else _each(values, judged, loss),
        members=_members(values, own, kept, loss, canaries),
        objective=objective,
        private=private,
    )


_Values = Callable[[Sequence[nn.Module], Samples, Tensor, Loss], Tensor]


def _each(values: _Values, where: Samples, loss: Loss) -> SampleLosses:
    return SampleLosses(len(where), lambda nets, rows: values(nets, where, rows, loss))


def _members(
    values: _Values, own: Samples, kept: Samples | None, loss: Loss, canaries: tuple[Samples, Tensor] | None
) -> Members | None:
    if kept is None and canaries is not None:
        raise ConfigError("canaries without held_out: alx leakage looks at none where no samples are kept apart")
    if kept is None:
        return None
    coins = None
    if canaries is not None:
        drawn, inside = canaries
        coins = Canaries(_each(values, drawn, loss), partial(_classes, drawn), inside)
    return Members(_each(values, own, loss), _each(values, kept, loss), lambda: (_classes(own), _classes(kept)), coins)


def _classes(data: Samples) -> Tensor:
    """The class of each sample; 0 for all where a target is no single whole number."""
    found = samples.targets(data)
    if found.is_floating_point() or found.numel() != len(found):
        return torch.zeros(len(data), dtype=torch.int64)
    return found.reshape(-1).long()


def _copy(make: Callable[[], nn.Module], net: nn.Module) -> nn.Module:
    """Another model in the same state, as not every model can be deep-copied; what is frozen lies in memory once."""
    if sharding.is_cut(net):
        return sharding.copied(make, net)
    with torch.random.fork_rng(devices=[]):
        made = make()
    made.load_state_dict(net.state_dict())
    there = dict(net.named_parameters())
    for name, value in made.named_parameters():
        if not there[name].requires_grad and value.stride() == there[name].stride():
            value.data = there[name].data
    return made


def _worth(
    values: _Values, kept: Samples, place: torch.device, score: Score | None
) -> Callable[[nn.Module], float | Values | Scores]:
    if score is None:
        return lambda net: float(values([net], kept, torch.arange(len(kept)), accuracy).nanmean())
    batches = EvaluationBatch()
    return lambda net: score(*gathered(net, kept, place, batches))


def _refuse_other_kinds(sets: Mapping[str, object], loss: object, score: object, batch_size: object) -> None:
    """What is easily given in place of what is meant, and fails later in strange words.

    Raises:
        ConfigError: says which, and what was meant.
    """
    for name, each in sets.items():
        if isinstance(each, DataLoader):
            raise ConfigError(f"{name} is a DataLoader, expected a data set", "give its .dataset: batches are made here")
    for name, function in (("loss", loss), *([] if score is None else [("score", score)])):
        if isinstance(function, type):
            raise ConfigError(
                f"{name} is the class {function.__name__}, expected a function of outputs and targets",
                f'make one: {function.__name__}(reduction="none"), say',
            )
        if not callable(function):
            raise ConfigError(f"{name} is a {type(function).__name__}, expected a function of outputs and targets")
    if type(batch_size) is not int or batch_size < 1:
        raise ConfigError(f"batch_size is {escape(repr(batch_size), 60)}, expected a whole number, at least 1")


def _one_each(values: object, samples: int) -> Tensor:
    """What a loss or a score gave, [samples, numbers of each].

    Raises:
        ConfigError: it is not one for each sample.
    """
    if not isinstance(values, Tensor) or values.ndim == 0 or len(values) != samples:
        got = f"tensor of shape {list(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ConfigError(
            f"the loss gives a {got} for {samples} samples, expected one number for each", 'make it with reduction="none"'
        )
    return values.reshape(samples, -1)
