"""What rank 0 says to the other ranks, and how what it sends is packed. Knows no task."""

import io
from enum import IntEnum, auto
from typing import Any

import torch
from torch import Tensor, nn


class Do(IntEnum):
    """What rank 0 says; most say a number too, and some data."""

    STILL_HERE = auto()
    OVER = auto()
    LOAD = auto()
    MODEL = auto()
    LOSSES = auto()
    TRAINER = auto()
    PACE = auto()
    STEP = auto()
    RESTORE = auto()
    TAKE_UP = auto()


def tensors(model: nn.Module) -> list[Tensor]:
    """All that a model computes with, each once."""
    return [*model.parameters(), *model.buffers()]


def packed(state: dict[str, Any]) -> bytes:
    """What a trainer saves, as bytes, without pickled objects."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, Any]:
    """The inverse of `packed`, on the CPU."""
    return dict(torch.load(io.BytesIO(data), weights_only=True, map_location="cpu"))
