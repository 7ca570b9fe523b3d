"""A model's state as one flat run of bytes, and back.

Knows tensors; knows no file. The order of the tensors is the caller's (the bundle's layout).
"""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning.task import State

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.complex64: "C64",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
MAX_NAME = 256  # as in the manifest
_BY_NAME = {name: dtype for dtype, name in DTYPES.items()}


def of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's state on the CPU, contiguous: what the model does later does not change it.

    Raises:
        ConfigError: something in the model's state_dict is no tensor.
    """
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise ConfigError(f"the model's state_dict holds '{name}', which is no tensor", "move it out of the state")
    return {
        name: value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }


def describe(state: State) -> list[tuple[str, str, list[int]]]:
    """Name, dtype (by its name in safetensors) and shape of each tensor.

    Raises:
        ConfigError: a tensor is of a dtype that cannot travel, or has a name that cannot.
    """
    out = []
    for name, value in state.items():
        if len(name) > MAX_NAME or any(unicodedata.category(c).startswith(("C", "Z")) for c in name):
            raise ConfigError(
                f"the model's tensor '{escape(name)}' has a name that cannot travel: spaces, or over {MAX_NAME} characters"
            )
        if value.dtype not in DTYPES:
            raise ConfigError(f"the model's tensor '{name}' is of {value.dtype}, which cannot travel")
        out.append((name, DTYPES[value.dtype], list(value.shape)))
    return out


def to_bytes(state: State, order: Sequence[str]) -> bytes:
    """The little-endian bytes of all tensors, one after the other, in `order`."""
    # join takes anything with a buffer, and copies it once
    return b"".join(state[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data for name in order)


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


def rounded(state: State) -> dict[str, Tensor]:
    """The same with every float32 weight rounded to the nearest bfloat16, ties to even, and kept as float32.

    Rounded twice is rounded once, so what a receiver goes on from is what was sent.
    """
    return {n: v.to(torch.bfloat16).to(v.dtype) if v.dtype == torch.float32 else v for n, v in state.items()}


def finite(state: State) -> str | None:
    """The name of the first tensor that holds NaN or infinity, or None."""

    def fine(v: Tensor) -> bool:
        if not (v.is_floating_point() or v.is_complex()):
            return True
        wide = v.to(torch.float32) if v.itemsize == 1 else v  # no isfinite for float8
        # a sum is finite only where all are, and quick; where it is not, it may be too large only
        return bool(torch.isfinite(wide.sum())) or bool(torch.isfinite(wide).all())

    return next((n for n, v in state.items() if not fine(v)), None)
