"""A blend, made of four states by its recipe: numpy on flat states, the same bits on every machine.

Knows states and their tensors; knows no torch, no task, no folder. `docs/format.md` has the formula and how it is rounded.
A blend travels as its recipe, so its sender, its receiver and whoever audits both make it here.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from alx.bundle import codec, read
from alx.bundle.codec import Bytes
from alx.bundle.layout import FLOATS, Layout
from alx.bundle.manifest import Manifest, Version2
from alx.errors import MalformedError

STATES_HELD = 4  # that blends are made of, beside those that a reader holds anyway
BLOCK = 1 << 15  # numbers at a time: the runs of float64 made of them fit into a core's cache
RUN = 32 * BLOCK  # numbers that a thread takes at a time

_Array = np.ndarray[Any, np.dtype[Any]]


Shares = tuple[float, float, float]
"""The numbers of a recipe: own, peer, momentum; see `alx.bundle.manifest.Blend`."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The flat states that a bundle's blends are made of.

    Attributes:
        start: where the sender's turn began, the bundle's candidate of step 0.
        own: the sender's last snapshot.
        peer: the last snapshot of the bundle that is answered.
        before: the candidate of step 0 of the sender's bundle before; `start` where there was none.
    """

    start: Bytes
    own: Bytes
    peer: Bytes
    before: Bytes


def made(parts: Parts, shares: Shares, layout: Layout, averaged: Collection[str], *, rounded: bool) -> bytearray:
    """The flat state that a recipe gives; on all cores.

    Args:
        parts: what it is made of.
        shares: the recipe.
        layout: the model's.
        averaged: tensors that are averages of `own` and `peer` alone; see `Version2`.
        rounded: whether the plan has weights rounded to bfloat16.

    Raises:
        LimitError: there is no memory for it.
    """
    with read.enough_memory(layout.nbytes), codec.pool() as pool:
        out = bytearray(layout.nbytes)
        jobs = []
        for tensor, a, b in layout.spans():
            if tensor.dtype not in FLOATS:
                out[a:b] = parts.own[a:b]
                continue
            kind = _KINDS["ROUNDED" if rounded and tensor.dtype == "F32" else tensor.dtype]
            count = (b - a) // kind.stored.itemsize
            for at in range(0, count, RUN):
                place = a + at * kind.stored.itemsize, min(RUN, count - at)
                jobs.append(pool.submit(_run, out, parts, shares, kind, place, averaged=tensor.name in averaged))
        for job in jobs:
            job.result()
    return out


def checked(
    parts: Parts, manifest: Manifest, index: int, averaged: Collection[str] | None = None, *, rounded: bool
) -> bytearray:
    """A blend of a bundle, made and compared with what was signed.

    Args:
        parts: what it is made of.
        manifest: the bundle's.
        index: of a candidate that is a blend.
        averaged: see `made`; None for what a manifest says itself, from version 2 on.
        rounded: see `made`.

    Raises:
        MalformedError: it is another model than was signed.
        NotFiniteError: a weight is not finite.
    """
    candidate = manifest.candidates[index]
    if averaged is None:
        averaged = manifest.averaged if isinstance(manifest, Version2) else ()
    if candidate.blend is None:
        raise AssertionError("a candidate that is made is a blend")
    blend = candidate.blend
    state = made(parts, (blend.own, blend.peer, blend.momentum), manifest.layout, averaged, rounded=rounded)
    if hashlib.sha256(state).hexdigest() != candidate.state:
        raise MalformedError(
            f"{candidate.label} is not the blend that it is said to be: made anew here, it is another model",
            "what the bundle says of itself is not true; ask the peer",
        )
    codec.check_values(memoryview(state), manifest.layout, candidate.label)
    return state


@dataclass(frozen=True, slots=True)
class _Kind:
    """How numbers of a type are stored, made wide, and rounded."""

    stored: np.dtype[Any]
    wide: Callable[[_Array], _Array]
    narrow: Callable[[_Array], _Array]


def _run(out: bytearray, parts: Parts, shares: Shares, kind: _Kind, place: tuple[int, int], *, averaged: bool) -> None:
    """Make a run of one tensor's numbers, a block at a time."""
    (own, peer, momentum), (first, count) = shares, place
    for at in range(0, count, BLOCK):
        n, where = min(BLOCK, count - at), first + at * kind.stored.itemsize
        target = np.frombuffer(out, kind.stored, n, where)
        s, o, p, b = (
            kind.wide(np.frombuffer(x, kind.stored, n, where)) for x in (parts.start, parts.own, parts.peer, parts.before)
        )
        # each operation is rounded by itself, in the order written: numpy fuses none
        with np.errstate(all="ignore"):  # what is not finite is refused afterwards, by name
            x = (own * o + peer * p) / (own + peer) if averaged else s + own * (o - s) + peer * (p - s) + momentum * (s - b)
            target[:] = kind.narrow(x)


def _double(x: _Array) -> _Array:
    return x.astype(np.float64)


def _single(x: _Array) -> _Array:
    return x.astype(np.float32)


def _brain(x: _Array) -> _Array:
    """The nearest bfloat16s, ties to even, as float32."""
    bits = _single(x).view(np.uint32)
    near = bits + (0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000  # a NaN out of arithmetic stays one
    return near.astype(np.uint32).view(np.float32)


def _tiny(x: _Array, least: int, bits: int) -> _Array:
    """The nearest numbers, ties to even, with so many bits behind the first, for which a power of 2 is the least."""
    single = _double(_single(x))
    step = np.ldexp(1.0, np.maximum(np.frexp(single)[1] - 1, least) - bits)
    near: _Array = np.rint(single / step) * step
    return near


def _e4m3(x: _Array) -> _Array:
    near = _tiny(x, -6, 3)
    code = np.searchsorted(_E4M3[:_NAN], np.abs(near)).astype(np.uint8)  # what is too large, and NaN, come behind all
    sign: _Array = np.signbit(near).astype(np.uint8) << 7
    return code | sign


def _e5m2(x: _Array) -> _Array:
    return (_tiny(x, -14, 2).astype(np.float16).view(np.uint16) >> 8).astype(np.uint8)


_NAN = 0x7F  # of F8_E4M3, which has no infinity: its numbers from 0 up come before it, those below 0 behind
_RISING = [k * 2.0**-9 if k < 8 else (8 + k % 8) * 2.0 ** (k // 8 - 10) for k in range(_NAN)]  # noqa: PLR2004
_E4M3 = np.array([*_RISING, np.nan, *(-x for x in _RISING), np.nan])
_KINDS = {
    "F64": _Kind(np.dtype("<f8"), _double, _double),
    "F32": _Kind(np.dtype("<f4"), _double, _single),
    "C64": _Kind(np.dtype("<f4"), _double, _single),  # both parts
    "ROUNDED": _Kind(np.dtype("<f4"), _double, _brain),
    "F16": _Kind(np.dtype("<f2"), _double, lambda x: _single(x).astype(np.float16)),
    "BF16": _Kind(
        np.dtype("<u2"),
        lambda x: _double((x.astype(np.uint32) << 16).view(np.float32)),
        lambda x: _brain(x).view(np.uint32) >> 16,
    ),
    "F8_E4M3": _Kind(np.dtype("u1"), lambda x: _E4M3[x], _e4m3),
    "F8_E5M2": _Kind(np.dtype("u1"), lambda x: _double((x.astype(np.uint16) << 8).view(np.float16)), _e5m2),
}
