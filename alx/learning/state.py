"""A model's state: taken of it, put into it, and as one flat run of bytes.

Knows a task's pair of `state` and `load`, and tensors; knows no file. The order of the tensors is the caller's (the
bundle's layout).
"""

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from alx.errors import ConfigError, escape
from alx.learning.task import State, Task

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}
# as in the manifest
MAX_NAME, MAX_DIMENSIONS, MAX_TENSORS = 256, 16, 20_000
RESERVED = "__metadata__"  # safetensors keeps something else under this name
WRAPPERS = ("module", "_orig_mod")  # what DistributedDataParallel and AveragedModel, and torch.compile, put into names
_BY_NAME = {name: dtype for dtype, name in DTYPES.items()}


def of(task: Task, model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state of a task's model; see `copied`."""
    return copied(task.state(model))


def whole(task: Task, model: nn.Module) -> dict[str, Tensor]:
    """All of a model, the model's own tensors or copies: what changes, a site's own too, and what is frozen."""
    return {**task.state(model), **task.frozen(model)}


def fresh(task: Task) -> dict[str, Tensor]:
    """The state of a model made anew."""
    return of(task, task.new_model())


def copied(held: State) -> dict[str, Tensor]:
    """A copy on the CPU, contiguous: what the model does later does not change it.

    Raises:
        ConfigError: something in it is no tensor, or cannot travel.
    """
    for name, value in held.items():
        _refuse_unfit(name, value)
    return {n: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for n, v in held.items()}


def parameters(model: nn.Module) -> set[str]:
    """The names that a state may have for the model's parameters: the model's own, and the same without `WRAPPERS`.

    By names alone, so that both sides of an exchange find the same, whatever they wrap their models in.
    """
    own = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    bare = set(map(unwrapped, own))
    return own | (bare - {name for name, _ in model.named_buffers(remove_duplicate=False)})


def travels(task: Task, state: State) -> dict[str, Tensor]:
    """What of a task's state is sent."""
    return {name: value for name, value in state.items() if name not in task.personal}


def personal(task: Task, state: State) -> dict[str, Tensor]:
    """What of a task's state stays on its own site."""
    return {name: value for name, value in state.items() if name in task.personal}


def unwrapped(name: str) -> str:
    """A tensor's name without `WRAPPERS`."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def put(task: Task, model: nn.Module, state: State) -> None:
    """Load a state into a task's model.

    Raises:
        ConfigError: the model does not take it, as its tensors have other shapes by now, say.
    """
    try:
        task.load(model, state)
    except RuntimeError as error:
        raise ConfigError(
            f"the model does not take a state of its own: {escape(' '.join(str(error).split()).rstrip('.'), 300)}",
            "make all of the model's tensors where it is made, in the shapes they keep",
        ) from error


Described = list[tuple[str, str, list[int]]]
"""Name, dtype and shape of each tensor."""


def describe(state: State) -> Described:
    """Name, dtype (by its name in safetensors) and shape of each tensor.

    Raises:
        ConfigError: there are none, or too many, or one that cannot travel.
    """
    if not 0 < len(state) <= MAX_TENSORS:
        raise ConfigError(f"the model's state_dict holds {len(state)} tensors, expected 1 to {MAX_TENSORS}")
    for name, value in state.items():
        _refuse_unfit(name, value)
    return [(name, DTYPES[value.dtype], list(value.shape)) for name, value in state.items()]


def refuse_changed(before: Described, after: State, when: str) -> None:
    """The same tensors as before, whatever their values.

    Args:
        before: as it was agreed on.
        after: of the same model.
        when: `after` was taken, for the message.

    Raises:
        ConfigError: names the first tensor that is of another shape or dtype, or is new or gone.
    """
    was, now = ({name: f"{dtype}{shape}" for name, dtype, shape in each} for each in (before, describe(after)))
    name = next((n for n in dict.fromkeys([*was, *now]) if was.get(n) != now.get(n)), None)
    if name is not None:
        raise ConfigError(
            f"training changes the model's tensors: '{escape(name)}' was {was.get(name, 'not there')}, and is "
            f"{now.get(name, 'gone')} {when}",
            "make all of the model's tensors where it is made, in the shapes and types they keep",
        )


def _refuse_unfit(name: object, value: object) -> None:
    """A tensor of a model's state that could be neither written to a file nor read back into the model."""
    if not isinstance(name, str):
        raise ConfigError(f"the model's state_dict has the name {escape(repr(name))}, expected text")
    if not 0 < len(name) <= MAX_NAME or any(unicodedata.category(c).startswith(("C", "Z")) for c in name):
        raise ConfigError(
            f"the model's tensor '{escape(name)}' has a name that cannot travel: spaces, or not 1 to {MAX_NAME} characters"
        )
    if name == RESERVED:
        raise ConfigError(f"the model's tensor '{RESERVED}' has a name that safetensors keeps for itself", "rename it")
    if not isinstance(value, Tensor):
        raise ConfigError(f"the model's state_dict holds '{name}', which is no tensor", "move it out of the state")
    fault = _fault(value)
    if fault is not None:
        raise ConfigError(f"the model's tensor '{name}' {fault[0]}", fault[1])


def _fault(value: Tensor) -> tuple[str, str] | None:
    """Why a tensor cannot travel, and what to do."""
    out = "keep what is constant out of the state: register_buffer(..., persistent=False)"
    if is_lazy(value):  # it refuses every other question
        return "has no shape yet", "pass a sample through the model where it is made"
    kinds: tuple[tuple[bool, str, str], ...] = (
        (value.is_meta, "has no values: it lies on the meta device", "make the model on a CPU or a GPU"),
        (value.is_nested, "is nested, expected a dense tensor", out),
        (value.layout is not torch.strided, f"is {value.layout}, expected a dense tensor", out),
        (value.dtype not in DTYPES, f"is of {value.dtype}, which cannot travel", out),
        (
            value.is_inference(),
            "was made in inference mode, and cannot be written to",
            "make the model outside of torch.inference_mode()",
        ),
        (value.dim() > MAX_DIMENSIONS, f"has more than {MAX_DIMENSIONS} dimensions, which cannot travel", out),
    )
    return next(((what, hint) for found, what, hint in kinds if found), None)


def to_bytes(state: State, order: Sequence[str]) -> bytes:
    """The little-endian bytes of all tensors, one after the other, in `order`."""
    return b"".join(_buffer(state[name]) for name in order)  # join takes anything with a buffer, and copies it once


def _buffer(value: Tensor) -> memoryview:
    """A tensor's little-endian bytes, not copied where it lies on the CPU in one piece."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def digests(state: State) -> dict[str, str]:
    """The SHA-256 of each tensor's little-endian bytes, in hexadecimal, by name."""
    return {name: hashlib.sha256(_buffer(value)).hexdigest() for name, value in state.items()}


def from_bytes(data: bytes | memoryview, tensors: Iterable[tuple[str, str, Sequence[int]]]) -> dict[str, Tensor]:
    """The inverse of `to_bytes`.

    Args:
        data: the flat state.
        tensors: name, dtype and shape of each, in the order they lie in.

    Returns:
        Tensors on the CPU that own their memory.
    """
    flat = np.frombuffer(data, dtype=np.uint8)
    out, at = {}, 0
    for name, dtype, shape in tensors:
        out[name] = torch.empty(tuple(shape), dtype=_BY_NAME[dtype])
        # copied, as a view may start where its dtype must not
        own = out[name].reshape(-1).view(torch.uint8).numpy()
        own[:] = flat[at : at + len(own)]
        at += len(own)
    return out


def rounded(state: State, but: Collection[str] = ()) -> dict[str, Tensor]:
    """The same with every float32 weight rounded to the nearest bfloat16, ties to even, and kept as float32.

    Rounded twice is rounded once, so what a receiver goes on from is what was sent.

    Args:
        state: the tensors by name.
        but: names of those that are not sent, and stay as they are.
    """
    return {
        n: v.to(torch.bfloat16).to(v.dtype) if v.dtype == torch.float32 and n not in but else v for n, v in state.items()
    }


def finite(state: State) -> str | None:
    """The name of the first tensor that holds NaN or infinity, or None."""

    def fine(v: Tensor) -> bool:
        if not (v.is_floating_point() or v.is_complex()):
            return True
        wide = v.to(torch.float32) if v.itemsize == 1 else v  # no isfinite for float8
        # a sum is finite only where all are, and quick; where it is not, it may be too large only
        return bool(torch.isfinite(wide.sum())) or bool(torch.isfinite(wide).all())

    return next((n for n, v in state.items() if not fine(v)), None)
