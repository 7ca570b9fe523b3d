"""Snapshots <-> compressed files, lossless to the bit: numpy on raw bytes.

Knows words and planes; knows no torch, no loss, no folder. A file is one zstd frame around one safetensors file, so
`zstd -d` and safetensors open it. What is inside: the difference of each word to the same word of the state before
(modulo 2^bits, zigzag), cut into byte planes. Snapshots of one trajectory differ little, yet no two floats are equal,
so LZ matching alone finds nothing; the highest plane of the difference is nearly constant.
`docs/format.md` has the whole of it, with a decoder of 30 lines.
"""

import contextlib
import itertools
import json
import os
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import zstandard

from alx.bundle import strict_json
from alx.bundle.layout import DTYPES, FLOATS, Layout
from alx.errors import LimitError, MalformedError, ModelError, NotFiniteError, escape

LEVEL = 1  # higher levels find nothing more in byte planes of noise (docs/decisions/0003-codec.md)
MAX_HEADER_BYTES = 1 << 12  # at most 15 planes of about 60 bytes each
MAX_WINDOW_BYTES = 8 << 20  # what zstd itself calls the most a decoder should have to give
ROUNDED = 4  # bytes of the words whose low halves may all be zero: float32 that was rounded to bfloat16
BLOCK = 1 << 16  # words at a time: all that is made of them on the way fits into a core's second cache
# What a frame may have above its content, and blocks for it. At level 1 zstd cuts 128 kB; at its highest levels it was seen
# to cut 2 kB where the content changes often.
LEAST_BLOCK, BLOCKS_TO_SPARE, FRAME_TO_SPARE = 1024, 2, 256
# Parts worked on at once: beyond it, the SHA-256 of a state, which is one run, takes longer than the work on all its parts;
# and each holds about three parts in memory.
MAX_THREADS = 4
_RAW, _RUN, _COMPRESSED = 0, 1, 2  # kinds of blocks
CHUNK = 1 << 16  # bytes of zstd's output at a time: for all at once it would take new pages each time
WORDS: dict[int, np.dtype[Any]] = {8: np.dtype("<u8"), 4: np.dtype("<u4"), 2: np.dtype("<u2"), 1: np.dtype("u1")}

Bytes = bytes | bytearray | memoryview
_Array = np.ndarray[Any, np.dtype[Any]]


@contextlib.contextmanager
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads for numpy, zstd and SHA-256, which all let go of the interpreter; what has not begun on leaving never does.

    It lives within one call: a process that forks has no thread left over.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = ThreadPoolExecutor(min(MAX_THREADS, cores))
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Section:
    """The bytes of one part that hold words of one size: `count` words from byte `first` of the part."""

    width: int
    first: int
    count: int

    def planes(self, *, rounded: bool = False) -> list[str]:
        return [f"w{self.width}.plane{i}" for i in range(self.width // 2 if rounded else 0, self.width)]


def _sections(layout: Layout, part: int) -> Iterator[_Section]:
    start, stop = layout.part(part)
    at = 0
    for width in WORDS:
        end = at + sum(t.nbytes for t in layout.tensors if DTYPES[t.dtype] == width)
        a, b = max(at, start), min(end, stop)
        if a < b:
            yield _Section(width, a - start, (b - a) // width)
        at = end


def encode(state: Bytes, before: Bytes | None, layout: Layout, part: int) -> bytes:
    """One part of a state as a file.

    Args:
        state: the whole flat state, `layout.nbytes` bytes.
        before: the flat state of the candidate before it, or None for a keyframe.
        layout: where the words lie.
        part: which part, from 0.

    Returns:
        A zstd frame with its content size and checksum.
    """
    return bytes(encoded(state, before, layout, part))


def encoded(state: Bytes, before: Bytes | None, layout: Layout, part: int) -> memoryview:
    """As `encode`, in a buffer of the thread's own: good until the thread's next call."""
    start, _ = layout.part(part)
    pieces = []
    for s in _sections(layout, part):
        words = np.frombuffer(state, WORDS[s.width], s.count, start + s.first)
        last = None if before is None else np.frombuffer(before, WORDS[s.width], s.count, start + s.first)
        if s.width == ROUNDED and _is_rounded(words):
            pieces.append((s.planes(rounded=True), _halves(words)[1], None if last is None else _halves(last)[1]))
        else:
            pieces.append((s.planes(), words, last))
    header = _header([(name, len(words)) for names, words, _ in pieces for name in names])
    at = 8 + len(header)
    raw = _buffer("raw", at + sum(len(names) * len(words) for names, words, _ in pieces))
    raw[:at] = np.frombuffer(struct.pack("<Q", len(header)) + header, np.uint8)
    for names, words, last in pieces:
        end = at + len(names) * len(words)
        _split(words, last, raw[at:end].reshape(len(names), len(words)))
        at = end
    chunker = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).chunker(len(raw), CHUNK)
    out, end = _buffer("packed", len(raw) + (len(raw) >> 8) + CHUNK).data, 0  # zstd's own bound for noise
    for step in (partial(chunker.compress, raw.data), chunker.finish):
        for chunk in step():  # type: ignore[no-untyped-call]
            out[end : end + len(chunk)] = chunk
            end += len(chunk)
    return out[:end]


_kept = threading.local()


def _buffer(name: str, size: int) -> _Array:
    """A thread's own, used again and again: pages fresh from the system cost more than all that is written to them."""
    if len(getattr(_kept, name, ())) < size:
        setattr(_kept, name, np.empty(size, np.uint8))
    buffer: _Array = getattr(_kept, name)
    return buffer[:size]


def is_rounded(state: Bytes, layout: Layout) -> bool:
    """Whether the low halves of all float32 are zero, as in those that were rounded to bfloat16."""
    return all(
        _is_rounded(np.frombuffer(state, WORDS[ROUNDED], (b - a) // ROUNDED, a))
        for tensor, a, b in layout.spans()
        if tensor.dtype == "F32" and a < b
    )


def _is_rounded(words: _Array) -> bool:
    low = _halves(words)[0]
    return not any(low[at : at + BLOCK].any() for at in range(0, len(low), BLOCK))


def _halves(words: _Array) -> tuple[_Array, _Array]:
    """Views of the low and of the high halves of words of four bytes."""
    both = words.view(WORDS[2])
    return both[::2], both[1::2]


def _split(words: _Array, before: _Array | None, planes: _Array) -> None:
    """Cut words into byte planes, lowest first, block by block: what is passed over several times stays in the cache."""
    bits = 8 * words.itemsize
    z, shifted = (np.empty(min(BLOCK, len(words)), words.dtype.newbyteorder("=")) for _ in range(2))
    for at in range(0, len(words), BLOCK):
        block = words[at : at + BLOCK]
        a, b = z[: len(block)], shifted[: len(block)]
        if before is None:  # the sign goes below, and a float's exponent fills the highest plane
            np.right_shift(block, bits - 1, out=b)
            np.left_shift(block, 1, out=a)
        else:
            np.subtract(block, before[at : at + BLOCK], out=a)
            np.right_shift(_signed(a), bits - 1, out=_signed(b))
            np.left_shift(a, 1, out=a)
        np.bitwise_xor(a, b, out=a)
        for i, plane in enumerate(planes):
            np.right_shift(a, 8 * i, out=b)
            np.copyto(plane[at : at + BLOCK], b, casting="unsafe")  # the lowest byte of each


def _join(planes: list[_Array], words: _Array, *, keyframe: bool) -> None:
    """The inverse of `_split`, over the words before."""
    bits = 8 * len(planes)
    z, shifted = (np.empty(min(BLOCK, len(words)), words.dtype.newbyteorder("=")) for _ in range(2))
    for at in range(0, len(words), BLOCK):
        block = words[at : at + BLOCK]
        a, b = z[: len(block)], shifted[: len(block)]
        np.copyto(a, planes[0][at : at + BLOCK])
        for i, plane in enumerate(planes[1:], 1):
            np.copyto(b, plane[at : at + BLOCK])
            np.left_shift(b, 8 * i, out=b)
            np.bitwise_or(a, b, out=a)
        if keyframe:
            np.left_shift(a, bits - 1, out=b)
        else:
            np.bitwise_and(a, 1, out=b)
            np.negative(_signed(b), out=_signed(b))
        np.right_shift(a, 1, out=a)
        np.bitwise_xor(a, b, out=a)
        if keyframe:
            np.copyto(block, a)
        else:
            np.add(block, a, out=block)


def _signed(words: _Array) -> _Array:
    return words.view(words.dtype.str.replace("u", "i"))


def _header(planes: list[tuple[str, int]]) -> bytes:
    text = json.dumps(_document(planes), separators=(",", ":")).encode("ascii")
    return text + b" " * (-len(text) % 8)


def _document(planes: list[tuple[str, int]]) -> dict[str, Any]:
    """The safetensors header of planes, by name and size, one after the other."""
    out, at = {}, 0
    for name, count in planes:
        out[name] = {"dtype": "U8", "shape": [count], "data_offsets": [at, at + count]}
        at += count
    return out


def raw_size(layout: Layout, part: int) -> int:
    """The largest size a part may decompress to: prefix, header and planes."""
    start, stop = layout.part(part)
    return 8 + MAX_HEADER_BYTES + (stop - start)


def decode(file: bytes, state: bytearray, layout: Layout, part: int, name: str, *, keyframe: bool) -> None:
    """Decode one part of a state, in place, out of a file whose digest was compared already.

    Args:
        file: the compressed file.
        state: the whole flat state of the candidate before; this part of it becomes this candidate's.
        layout: the agreed model's.
        part: which part, from 0.
        name: the file's name, for messages.
        keyframe: true where the candidate is one, and it matters not what the state was.

    Raises:
        LimitError: it would decompress to more than its part, or wants a larger window.
        MalformedError: not one whole frame around one safetensors file; its signature was made over that.
        ModelError: not the planes of this part of the agreed model.
    """
    start, _ = layout.part(part)
    raw = _decompress(file, raw_size(layout, part), name)
    sections = list(_sections(layout, part))
    planes = _planes(raw, sections, name)
    for s in sections:
        words = np.frombuffer(state, WORDS[s.width], s.count, start + s.first)
        names = [p for p in s.planes() if p in planes]
        if len(names) < s.width:
            low, words = _halves(words)
            low[:] = 0
        _join([planes[p] for p in names], words, keyframe=keyframe)


def _decompress(file: bytes, limit: int, name: str) -> bytes:
    # zstandard allocates whatever a frame's header claims: read the claim first, and refuse what has none.
    try:
        claim = zstandard.get_frame_parameters(file)
    except zstandard.ZstdError as error:
        raise MalformedError(f"{name} is not a zstd frame") from error
    if claim.content_size == zstandard.CONTENTSIZE_UNKNOWN or claim.dict_id or not claim.has_checksum:
        raise MalformedError(f"{name}: the zstd frame does not state its size and a checksum, or wants a dictionary")
    if claim.content_size > limit:
        raise LimitError(f"{name} would decompress to {claim.content_size} bytes, and may have {limit}")
    if claim.window_size > MAX_WINDOW_BYTES and claim.window_size > claim.content_size:
        raise LimitError(f"{name} wants a window of {claim.window_size} bytes, and may have {MAX_WINDOW_BYTES}")
    try:
        raw = zstandard.ZstdDecompressor().decompress(file, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedError(f"{name} does not decompress: {escape(str(error))}") from error
    if len(raw) != claim.content_size:
        raise MalformedError(f"{name} decompresses to {len(raw)} bytes, expected {claim.content_size}")
    _check_blocks(file, len(raw), name)
    return raw


def _check_blocks(file: bytes, content: int, name: str) -> None:
    """Walk over a frame's blocks (RFC 8878, 3.1.1): how they are cut and filled could hold another file.

    Raises:
        MalformedError: more blocks, or more bytes, than the content needs; a block that gives nothing.
    """
    if file[4] & 0x10:  # of the frame's descriptor, the one bit that has no meaning
        raise MalformedError(f"{name} sets a bit of the zstd frame that has no meaning")
    most = BLOCKS_TO_SPARE + content // LEAST_BLOCK
    if len(file) > content + (content >> 8) + FRAME_TO_SPARE:
        raise MalformedError(f"{name} has {len(file)} bytes for a content of {content}: more than a frame around noise has")
    at, last, count = zstandard.frame_header_size(file), False, 0
    while not last:
        head = int.from_bytes(file[at : at + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        at, count = at + 3, count + 1
        # zstd itself ends a frame with an empty raw block where it did not know that the one before was the last
        if (size == 0 and not (last and kind == _RAW)) or (kind == _COMPRESSED and _gives_nothing(file[at : at + size])):
            raise MalformedError(f"{name} has an empty zstd block, which could hold something else")
        if count > most:
            raise MalformedError(f"{name} has more than {most} zstd blocks for a content of {content} bytes")
        at += 1 if kind == _RUN else size


def _gives_nothing(block: bytes) -> bool:
    """Whether a compressed block has no literals, and no sequences or needless tables (RFC 8878, 3.1.1.3.1.1)."""
    if not block:
        return True
    form = block[0] >> 2 & 3
    if block[0] & 3 <= _RUN:  # as they are, or one byte again and again
        length, shift = {1: (2, 4), 3: (3, 4)}.get(form, (1, 3))
        regenerated = int.from_bytes(block[:length], "little") >> shift
        return regenerated == 0 and (block[0] & 3 == _RUN or block[length : length + 1] in (b"", b"\0"))
    bits = {2: 14, 3: 18}.get(form, 10)
    return int.from_bytes(block[:4], "little") >> 4 & ((1 << bits) - 1) == 0


def _planes(raw: bytes, sections: list[_Section], name: str) -> dict[str, _Array]:
    # The safetensors library accepts names given twice, huge shapes and headers of 100 MB; what may stand here is
    # known to the last name and size, so the header is compared, not interpreted.
    if len(raw) < 8:  # noqa: PLR2004 - the length prefix
        raise MalformedError(f"{name} is no safetensors file")
    size = struct.unpack("<Q", raw[:8])[0]
    if size > MAX_HEADER_BYTES or 8 + size > len(raw):
        raise MalformedError(f"{name} has a safetensors header of {size} bytes")
    text = raw[8 : 8 + size]
    header = strict_json.parse(text, f"the header of {name}", MAX_HEADER_BYTES)
    for rounded in (False, True):
        planes = [(p, s.count) for s in sections for p in s.planes(rounded=rounded and s.width == ROUNDED)]
        if header == _document(planes):
            break
    else:
        raise ModelError(f"{name} does not hold the byte planes of its part of the agreed model")
    if text != _header(planes):
        raise MalformedError(f"the header of {name} {strict_json.ODD}")
    expected = sum(count for _, count in planes)
    if len(raw) != 8 + size + expected:
        raise MalformedError(f"{name} has {len(raw) - 8 - size} bytes of planes, expected {expected}")
    ends = itertools.accumulate((count for _, count in planes), initial=8 + size)
    return {p: np.frombuffer(raw, np.uint8, count, at) for (p, count), at in zip(planes, ends, strict=False)}


def check_values(state: Bytes, layout: Layout, what: str) -> None:
    """Look at every weight.

    Args:
        state: the flat state.
        layout: the agreed model's.
        what: which candidate, for the message.

    Raises:
        NotFiniteError: names the first tensor with a NaN or an infinity.
        MalformedError: a bool has bits that mean nothing.
    """
    for tensor, a, b in layout.spans():
        if tensor.dtype == "BOOL" and a < b and np.frombuffer(state[a:b], np.uint8).max() > 1:
            raise MalformedError(f"{what}: tensor '{escape(tensor.name)}' holds a bool that is neither 0 nor 1")
        if tensor.dtype in FLOATS and not _finite(state[a:b], tensor.dtype):
            raise NotFiniteError(f"{what}: tensor '{escape(tensor.name)}' holds NaN or infinity")


def _finite(data: Bytes, dtype: str) -> bool:
    # An exponent of all ones is NaN or infinity in IEEE 754; E4M3 has no infinity, and its NaN is 0x7f.
    if dtype == "F8_E4M3":
        return not bool(((np.frombuffer(data, "u1") & 0x7F) == 0x7F).any())  # noqa: PLR2004
    view, mask = {
        "F64": ("<u8", 0x7FF << 52),
        "F32": ("<u4", 0xFF << 23),
        "C64": ("<u4", 0xFF << 23),
        "F16": ("<u2", 0x1F << 10),
        "BF16": ("<u2", 0xFF << 7),
        "F8_E5M2": ("u1", 0x1F << 2),
    }[dtype]
    words = np.frombuffer(data, view)
    m = words.dtype.type(mask)
    masked = np.empty(min(BLOCK, len(words)), words.dtype.newbyteorder("="))
    for at in range(0, len(words), BLOCK):
        block = words[at : at + BLOCK]
        if np.bitwise_and(block, m, out=masked[: len(block)]).max() == m:
            return False
    return True
