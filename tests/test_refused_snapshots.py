"""Snapshots that lie: well signed frames and tensors that are no snapshot of the agreed model."""

import json
import struct
from typing import NamedTuple

import numpy as np
import pytest

from alx.bundle.codec import MAX_WINDOW_BYTES
from alx.errors import AlxError, CorruptError, LimitError, MalformedError, ModelError, NotFiniteError
from tests.conftest import World
from tests.forge import Forge, compress, refused_import, safetensors

NAME = "data/c0001-p0000.safetensors.zst"


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.fixture
def forged(sent) -> Forge:
    return Forge.of(sent, "learner")


class Lie(NamedTuple):
    """How the file of the second snapshot is made, and what must be said about it."""

    make: object
    error: type[AlxError]
    words: tuple[str, ...]


def header_of(raw: bytes) -> tuple[bytes, bytes]:
    """Header and planes."""
    end = 8 + struct.unpack("<Q", raw[:8])[0]
    return raw[8:end], raw[end:]


def headed(change) -> object:
    """A frame whose safetensors header was changed as a document."""

    def make(raw: bytes) -> bytes:
        header, data = header_of(raw)
        document = json.loads(header)
        data = change(document, data) or data
        return compress(safetensors(json.dumps(document).encode(), data))

    return make


def patched(raw: bytes, claim: int) -> bytes:
    """A frame that states another size than it has: two bytes after the descriptor, less 256."""
    frame = bytearray(compress(raw))
    assert frame[4] >> 6 == 1
    frame[5:7] = (claim - 256).to_bytes(2, "little")
    return bytes(frame)


def wide(raw: bytes, window: int) -> bytes:
    """A frame with a window of 2^(10 + window) bytes; its blocks are those of a good one."""
    frame = compress(raw)
    return frame[:4] + bytes([0x84, window << 3]) + len(raw).to_bytes(4, "little") + frame[7:]


def twice(raw: bytes) -> bytes:
    header, data = header_of(raw)
    one = header.rstrip()[1:-1]
    return compress(safetensors(b"{" + one + b"," + one + b"}", data))


def half_precision(document, data) -> bytes:
    """The same bytes, said to be words of two bytes."""
    document.clear()
    half = len(data) // 2
    for i in range(2):
        document[f"w2.plane{i}"] = {"dtype": "U8", "shape": [half], "data_offsets": [i * half, (i + 1) * half]}
    return data


def extra(document, data) -> bytes:
    document["w8.plane0"] = {"dtype": "U8", "shape": [1], "data_offsets": [len(data), len(data) + 1]}
    return data + b"x"


LIES = {
    "no frame": Lie(lambda _: b"weights", MalformedError, ("is not a zstd frame",)),
    "an empty file": Lie(lambda _: b"", MalformedError, ("is not a zstd frame",)),
    "a pickle": Lie(lambda _: b"\x80\x04}q\x00.", MalformedError, ("is not a zstd frame",)),
    "a frame that does not state its size": Lie(
        lambda raw: compress(raw, write_content_size=False), MalformedError, ("does not state its size",)
    ),
    "a bomb": Lie(lambda _: compress(bytes(64 << 20)), LimitError, ("would decompress to 67108864 bytes",)),
    "a bomb that states a small size": Lie(
        lambda _: (f := compress(bytes(64 << 20)))[:6] + (900).to_bytes(4, "little") + f[10:],
        MalformedError, ("does not decompress",),
    ),
    "a size below the truth": Lie(lambda raw: patched(raw, len(raw) - 1), MalformedError, ("does not decompress",)),
    "a size above the truth": Lie(lambda raw: patched(raw, len(raw) + 1), MalformedError, ("decompress",)),
    "a window of 2 GiB": Lie(lambda raw: wide(raw, 21), LimitError, ("wants a window of", str(MAX_WINDOW_BYTES))),
    "a window of 2 TiB": Lie(lambda raw: wide(raw, 31), MalformedError, ("is not a zstd frame",)),
    "a second frame": Lie(lambda raw: compress(raw) * 2, MalformedError, ("does not decompress",)),
    "trailing bytes": Lie(lambda raw: compress(raw) + b"x", MalformedError, ("does not decompress",)),
    "a skippable frame first": Lie(
        lambda raw: b"\x50\x2a\x4d\x18\x04\0\0\0alx!" + compress(raw), MalformedError, ("does not state its size",)
    ),
    "half a frame": Lie(lambda raw: compress(raw)[:-9], MalformedError, ("does not decompress",)),
    "a wrong checksum": Lie(lambda raw: compress(raw)[:-1] + b"?", MalformedError, ("does not decompress",)),
    "no safetensors file": Lie(lambda _: compress(b"short"), MalformedError, ("no safetensors file",)),
    "a header of 2^63 bytes": Lie(
        lambda raw: compress(struct.pack("<Q", 1 << 63) + raw[8:]), MalformedError, (f"header of {1 << 63} bytes",)
    ),
    "a header of 4,200 bytes": Lie(
        lambda raw: compress(safetensors(header_of(raw)[0] + b" " * 4096, b"")), MalformedError, ("header of",)
    ),
    "a header of 4,000 levels": Lie(lambda _: compress(safetensors(b"[" * 4000, b"")), MalformedError, ("too deeply",)),
    "a plane's name twice": Lie(twice, MalformedError, ("'w4.plane0' twice",)),
    "a plane too short": Lie(lambda raw: compress(raw[:-1]), MalformedError, ("bytes of planes, expected",)),
    "bytes after the planes": Lie(lambda raw: compress(raw + b"x"), MalformedError, ("bytes of planes, expected",)),
    "another dtype": Lie(headed(half_precision), ModelError, ("planes of its part of the agreed model",)),
    "an extra tensor": Lie(headed(extra), ModelError, ("planes of its part of the agreed model",)),
    "a missing tensor": Lie(
        headed(lambda d, _: d.pop("w4.plane3") and None), ModelError, ("planes of its part of the agreed model",)
    ),
    "a renamed tensor": Lie(
        headed(lambda d, _: d.update({"../../x": d.pop("w4.plane0")})), ModelError, ("planes of its part",)
    ),
    "a huge shape": Lie(headed(lambda d, _: d["w4.plane0"].update(shape=[0, 1 << 62])), ModelError, ("planes of its part",)),
    "metadata": Lie(headed(lambda d, _: d.update(__metadata__={"a": "b"})), ModelError, ("planes of its part",)),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_signed_snapshot_is_refused_that_is(sent, forged, capsys, name):
    lie = LIES[name]
    forged.frame(1, lie.make(forged.raw(1)))
    refused_import(capsys, sent, "provider", forged.bundle, lie.error, NAME, *lie.words)


def test_a_good_snapshot_compressed_by_another_hand_is_accepted(sent, forged):
    """Else every refusal above could have a reason of its own."""
    forged.frame(1, compress(forged.raw(1)))
    assert sent.take("provider", forged.bundle) == 0


def test_a_state_of_another_digest_than_signed_is_corrupt(sent, forged, capsys):
    forged.edit(lambda m: m["candidates"][2].update(state="0" * 64))
    refused_import(capsys, sent, "provider", forged.bundle, CorruptError, "t=4: the decoded state is not the one")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_named_with_its_snapshot(sent, forged, capsys, value):
    tensor, at, _ = next(span for span in forged.layout.spans() if span[0].name == "2.weight")

    def poison(states):
        states[2][at : at + 4] = np.float32(value).tobytes()

    forged.restate(poison)
    words = ("t=4", f"tensor '{tensor.name}'", "NaN or infinity")
    refused_import(capsys, sent, "provider", forged.bundle, NotFiniteError, *words)


def test_poisoned_but_finite_weights_are_scored_like_any_other(sent, forged):
    """Out of the format's reach: they lose on the receiver's own data."""

    def poison(states):
        for state in states[1:]:
            state[:] = np.full(len(state) // 4, 3e38, "<f4").tobytes()

    forged.restate(poison)
    assert sent.take("provider", forged.bundle) == 0
    body = sent.site("provider").position().selected[-1]
    assert body["label"] == "t=0"
    assert body["own"][1:] == [None] * (len(body["own"]) - 1)
