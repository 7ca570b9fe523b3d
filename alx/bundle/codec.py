"""Snapshots <-> compressed files, lossless to the bit: numpy on raw bytes.

Knows words and planes; knows no torch, no loss, no folder. A file is one zstd frame around one safetensors file, so
`zstd -d` and safetensors open it. What is inside: the difference of each word to the same word of the state before
(modulo 2^bits, zigzag), cut into byte planes. Snapshots of one trajectory differ little, yet no two floats are equal,
so LZ matching alone finds nothing; the highest plane of the difference is nearly constant.
`docs/format.md` has the whole of it, with a decoder of 30 lines.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard

from alx.bundle import strict_json
from alx.bundle.manifest import DTYPES, FLOATS, PART_BYTES, Layout
from alx.errors import LimitError, MalformedError, ModelError, NotFiniteError, escape

LEVEL = 1  # higher levels find nothing more in byte planes of noise (docs/decisions/0003-codec.md)
MAX_HEADER_BYTES = 1 << 12  # at most 15 planes of about 60 bytes each
MAX_WINDOW_BYTES = 8 << 20  # what zstd itself calls the most a decoder should have to give
WORDS: dict[int, np.dtype[Any]] = {8: np.dtype("<u8"), 4: np.dtype("<u4"), 2: np.dtype("<u2"), 1: np.dtype("u1")}


@dataclass(frozen=True, slots=True)
class _Section:
    """The bytes of one part that hold words of one size: `count` words from byte `first` of the part."""

    width: int
    first: int
    count: int

    def planes(self) -> list[str]:
        return [f"w{self.width}.plane{i}" for i in range(self.width)]


def _sections(layout: Layout, part: int) -> Iterator[_Section]:
    start, stop = layout.part(part)
    at = 0
    for width in WORDS:
        end = at + sum(t.nbytes for t in layout.tensors if DTYPES[t.dtype] == width)
        a, b = max(at, start), min(end, stop)
        if a < b:
            yield _Section(width, a - start, (b - a) // width)
        at = end


def encode(state: bytes | memoryview, before: bytes | memoryview | None, layout: Layout, part: int) -> bytes:
    """One part of a state as a file.

    Args:
        state: the whole flat state, `layout.nbytes` bytes.
        before: the flat state of the candidate before it, or None for a keyframe.
        layout: where the words lie.
        part: which part, from 0.

    Returns:
        A zstd frame with its content size and checksum.
    """
    start, stop = layout.part(part)
    tensors: dict[str, tuple[int, int]] = {}
    planes: list[bytes] = []
    at = 0
    for s in _sections(layout, part):
        words = np.frombuffer(state[start:stop], WORDS[s.width], s.count, s.first)
        if before is not None:
            words = words - np.frombuffer(before[start:stop], WORDS[s.width], s.count, s.first)
        signed = words.view(words.dtype.str.replace("u", "i"))
        zigzag = (words << words.dtype.type(1)) ^ (signed >> (8 * s.width - 1)).view(words.dtype)
        rows = np.ascontiguousarray(zigzag).view(np.uint8).reshape(s.count, s.width)
        for i, name in enumerate(s.planes()):
            tensors[name] = (at, at + s.count)
            planes.append(np.ascontiguousarray(rows[:, i]).tobytes())
            at += s.count
    header = _header(tensors)
    raw = b"".join([struct.pack("<Q", len(header)), header, *planes])
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True).compress(raw)


def _header(tensors: dict[str, tuple[int, int]]) -> bytes:
    document = {n: {"dtype": "U8", "shape": [b - a], "data_offsets": [a, b]} for n, (a, b) in tensors.items()}
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    return text + b" " * (-len(text) % 8)


def raw_size(layout: Layout, part: int) -> int:
    """The largest size a part may decompress to: prefix, header and planes."""
    start, stop = layout.part(part)
    return 8 + MAX_HEADER_BYTES + (stop - start)


def decode(file: bytes, before: bytes | memoryview | None, layout: Layout, part: int, name: str) -> bytes:
    """The bytes of one part of a state, out of a file whose digest was compared already.

    Args:
        file: the compressed file.
        before: the whole flat state of the candidate before it, or None for a keyframe.
        layout: the agreed model's.
        part: which part, from 0.
        name: the file's name, for messages.

    Raises:
        LimitError: it would decompress to more than its part, or wants a larger window.
        MalformedError: not one whole frame around one safetensors file; its signature was made over that.
        ModelError: not the planes of this part of the agreed model.
    """
    start, stop = layout.part(part)
    raw = _decompress(file, raw_size(layout, part), name)
    planes = _planes(raw, [(p, s.count) for s in _sections(layout, part) for p in s.planes()], name)
    out = bytearray(stop - start)
    for s in _sections(layout, part):
        rows = np.stack([planes[p] for p in s.planes()], axis=1)
        zigzag = rows.view(WORDS[s.width]).reshape(s.count)
        one = zigzag.dtype.type(1)
        words = (zigzag >> one) ^ (zigzag.dtype.type(0) - (zigzag & one))
        if before is not None:
            words = words + np.frombuffer(before[start:stop], WORDS[s.width], s.count, s.first)
        out[s.first : s.first + s.count * s.width] = words.tobytes()
    return bytes(out)


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
    return raw


def _planes(raw: bytes, expected: list[tuple[str, int]], name: str) -> dict[str, np.ndarray[Any, Any]]:
    # The safetensors library accepts names given twice, huge shapes and headers of 100 MB; what may stand here is
    # known to the last name and size, so the header is compared, not interpreted.
    if len(raw) < 8:  # noqa: PLR2004 - the length prefix
        raise MalformedError(f"{name} is no safetensors file")
    size = struct.unpack("<Q", raw[:8])[0]
    if size > MAX_HEADER_BYTES or 8 + size > len(raw):
        raise MalformedError(f"{name} has a safetensors header of {size} bytes")
    header = strict_json.parse(raw[8 : 8 + size], f"the header of {name}", MAX_HEADER_BYTES)
    at, want = 0, {}
    for plane, count in expected:
        want[plane] = {"dtype": "U8", "shape": [count], "data_offsets": [at, at + count]}
        at += count
    if header != want:
        raise ModelError(f"{name} does not hold the byte planes of its part of the agreed model")
    if len(raw) != 8 + size + at:
        raise MalformedError(f"{name} has {len(raw) - 8 - size} bytes of planes, expected {at}")
    data = np.frombuffer(raw, np.uint8, at, 8 + size)
    return {p: data[w["data_offsets"][0] : w["data_offsets"][1]] for p, w in want.items()}


def check_finite(state: bytes | memoryview, layout: Layout, what: str) -> None:
    """Look at every weight.

    Args:
        state: the flat state.
        layout: the agreed model's.
        what: which candidate, for the message.

    Raises:
        NotFiniteError: names the first tensor with a NaN or an infinity.
    """
    for tensor, a, b in layout.spans():
        if tensor.dtype in FLOATS and not _finite(state[a:b], tensor.dtype):
            raise NotFiniteError(f"{what}: tensor '{escape(tensor.name)}' holds NaN or infinity")


def _finite(data: bytes | memoryview, dtype: str) -> bool:
    # An exponent of all ones is NaN or infinity in IEEE 754; E4M3 has no infinity, and its NaN is 0x7f.
    if dtype == "F8_E4M3":
        return not bool(((np.frombuffer(data, "u1") & 0x7F) == 0x7F).any())  # noqa: PLR2004
    view, mask = {
        "F64": ("<u8", 0x7FF << 52), "F32": ("<u4", 0xFF << 23), "C64": ("<u4", 0xFF << 23), "F16": ("<u2", 0x1F << 10),
        "BF16": ("<u2", 0xFF << 7), "F8_E5M2": ("u1", 0x1F << 2),
    }[dtype]  # fmt: skip
    for at in range(0, len(data), PART_BYTES):  # in pieces: no copy of a large tensor
        words = np.frombuffer(data[at : at + PART_BYTES], view)
        m = words.dtype.type(mask)
        if bool(((words & m) == m).any()):
            return False
    return True
