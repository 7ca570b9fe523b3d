"""Models as a task makes them: each of memory of its own, with a state that can be taken and put back.

Knows models; knows no data, loss or plan.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from operator import itemgetter
from typing import Any

from torch import Tensor, nn, strided
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy

from alx.errors import ConfigError, escape
from alx.learning import state
from alx.learning.task import State, Task, whole_state


class Fresh:
    """A task's `new_model`, every model of which is held against those made before.

    Several models are loaded with several candidates and measured side by side. Where two share a tensor, all have the
    last one's, and its loss would be signed as the loss of each.

    Args:
        make: the user's function.
        held: `Task.state`. Frozen weights that are not in a model's state may be shared: nothing is loaded into them.
    """

    def __init__(self, make: Callable[[], nn.Module], held: Callable[[nn.Module], State] = whole_state) -> None:
        self._make, self._held = make, held
        # by device: where each storage lies; looked at only while alive, as what comes after it may get the same address
        self._made: dict[str, list[tuple[int, int, StorageWeakRef]]] = {}

    def __call__(self) -> nn.Module:
        """A model.

        Raises:
            ConfigError: it is none, or shares a parameter or buffer with an earlier one.
        """
        refuse_model(self._make, "new_model")
        model: object = self._make()
        if not isinstance(model, nn.Module):
            raise ConfigError(f"new_model returned a {type(model).__name__}, expected an nn.Module")
        own: dict[str, dict[int, tuple[int, int, StorageWeakRef]]] = {}
        for device, made in self._made.items():
            self._made[device] = sorted((m for m in made if not m[2].expired()), key=itemgetter(0))  # type: ignore[no-untyped-call]
        reached = {device: list(accumulate((end for _, end, _ in made), max)) for device, made in self._made.items()}
        for name, tensor in _tensors(model, self._held(model)):
            storage, device = tensor.untyped_storage(), str(tensor.device)
            begin, end = storage.data_ptr(), storage.data_ptr() + storage.nbytes()
            before = bisect_left(self._made.get(device, []), end, key=itemgetter(0))  # how many begin before this one ends
            if begin < end and before and reached[device][before - 1] > begin:
                raise ConfigError(
                    f"new_model returned a model that shares '{escape(name)}' with one that it returned before",
                    "make a model anew at each call, and clone a tensor that all are to begin with",
                )
            own.setdefault(device, {})[begin] = (begin, end, StorageWeakRef(storage))  # type: ignore[no-untyped-call]
        for device, found in own.items():
            self._made.setdefault(device, []).extend(found.values())
        return model


def refuse_model(make: object, name: str) -> None:
    """A model is callable too, and would be called without inputs.

    Raises:
        ConfigError: a model, or something else, was given for a function that makes one.
    """
    if isinstance(make, nn.Module) or not callable(make):
        got = "model" if isinstance(make, nn.Module) else type(make).__name__
        raise ConfigError(f"{name} is a {got}, expected a function that makes a model", "its class is one, or lambda: …")


def _tensors(model: nn.Module, held: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Parameters that are trained, buffers and whatever else is in the state, by name, as far as they lie in memory."""
    trained = ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    for name, value in (*trained, *model.named_buffers(), *held.items()):
        if isinstance(value, Tensor) and not (is_lazy(value) or value.is_meta) and value.layout is strided:
            yield name, value


def tried(task: Task) -> nn.Module:
    """Make two models, both there at once, and load the state of one into the other.

    Args:
        task: its `new_model` is a `Fresh` one.

    Returns:
        One of them, to try more on.

    Raises:
        ConfigError: they share memory, or their state cannot be taken, described or put back.
    """
    first, second = task.new_model(), task.new_model()
    start = state.of(task, first)
    state.describe(start)
    state.put(task, second, start)
    return second
