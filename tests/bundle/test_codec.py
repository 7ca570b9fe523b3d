"""The codec: lossless to the bit for any dtype, cut into parts, and small on real trajectories."""

import hashlib
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save
from sklearn.datasets import load_digits
from torch import nn

from alx.bundle import carried, codec, keys, manifest, read, write
from alx.bundle.layout import DTYPES, Layout, Tensor, layout_order
from alx.errors import MalformedError, ModelError, NotFiniteError
from alx.learning import state
from alx.learning.trajectory import seed_all
from alx.tasks.torchvision_cpu import torchvision
from alx.turns.bridge import from_flat, layout_of, to_flat
from tests.forge import Forge, compress


def layouts() -> st.SearchStrategy[Layout]:
    shapes = st.lists(st.integers(0, 5), max_size=3)
    tensors = st.lists(st.tuples(st.sampled_from(sorted(DTYPES)), shapes), min_size=1, max_size=6)
    return tensors.map(
        lambda listed: Layout(tuple(layout_order(Tensor(name=f"t{i}", dtype=d, shape=s) for i, (d, s) in enumerate(listed))))
    )


def decoded(files: list[bytes], before: bytes | None, layout: Layout) -> bytes:
    """A state out of its parts."""
    out = bytearray(b"\xff" * layout.nbytes if before is None else before)
    for part, file in enumerate(files):
        codec.decode(file, out, layout, part, "a", keyframe=before is None)
    return bytes(out)


@given(layouts(), st.randoms(use_true_random=False), st.booleans())
def test_every_dtype_and_every_bit_pattern_comes_back(layout, random, keyframe):
    first, second = (random.randbytes(layout.nbytes) for _ in range(2))
    before = None if keyframe else first
    assert decoded([codec.encode(second, before, layout, 0)], before, layout) == second


def test_a_state_is_cut_into_parts_that_cross_word_sizes(monkeypatch):
    monkeypatch.setattr("alx.bundle.layout.PART_BYTES", 64)
    layout = Layout(
        tuple(
            layout_order(
                [
                    Tensor(name="a", dtype="I64", shape=[5]),
                    Tensor(name="b", dtype="F32", shape=[33]),
                    Tensor(name="c", dtype="BF16", shape=[7]),
                    Tensor(name="d", dtype="BOOL", shape=[3]),
                ]
            )
        )
    )
    rng = np.random.default_rng(0)
    first, second = (rng.bytes(layout.nbytes) for _ in range(2))
    assert layout.parts == math.ceil(layout.nbytes / 64) > 2
    assert decoded([codec.encode(second, first, layout, p) for p in range(layout.parts)], first, layout) == second


def test_every_dtype_of_the_format_is_one_that_torch_has():
    assert set(state.DTYPES.values()) == set(DTYPES) == set(get_args(Tensor.model_fields["dtype"].annotation))


@pytest.mark.parametrize("dtype", list(state.DTYPES))
def test_a_tensor_of_every_dtype_becomes_bytes_and_comes_back(dtype):
    raw = torch.arange(48, dtype=torch.uint8)
    tensors = {"x": (raw % 2).to(torch.bool) if dtype == torch.bool else raw.view(dtype).clone(), "s": torch.tensor(3)}
    layout = layout_of(tensors)
    back = from_flat(to_flat(tensors, layout), layout)
    assert all(torch.equal(back[n].view(torch.uint8), tensors[n].view(torch.uint8)) for n in ("x",))
    assert back["s"].shape == ()
    assert int(back["s"]) == 3


@pytest.mark.parametrize("dtype", [d for d in state.DTYPES if d.is_floating_point or d.is_complex])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_are_seen_in_every_floating_dtype(dtype, bad):
    if dtype == torch.float8_e4m3fn and bad == math.inf:
        bad = math.nan  # this dtype has no infinity
    good = torch.full((70,), 1.5).to(dtype)
    layout = layout_of({"w": good})
    codec.check_values(to_flat({"w": good}, layout), layout, "t=0")
    spoilt = good.clone()
    spoilt[69] = torch.tensor(bad).to(dtype)
    with pytest.raises(NotFiniteError, match="t=4: tensor 'w'"):
        codec.check_values(to_flat({"w": spoilt}, layout), layout, "t=4")


def test_a_file_is_one_zstd_frame_around_a_safetensors_file():
    layout = Layout((Tensor(name="w", dtype="F32", shape=[100]),))
    flat = np.arange(0, 10, 0.1, "<f4").tobytes()
    opened = load(zstandard.ZstdDecompressor().decompress(codec.encode(flat, None, layout, 0)))
    assert sorted(opened) == ["w4.plane0", "w4.plane1", "w4.plane2", "w4.plane3"]


MIXED = Layout(
    tuple(
        layout_order(
            [
                Tensor(name="a", dtype="I64", shape=[5]),
                Tensor(name="b", dtype="F32", shape=[100]),
                Tensor(name="c", dtype="BF16", shape=[7]),
                Tensor(name="d", dtype="BOOL", shape=[3]),
            ]
        )
    )
)


def mixed(rng: np.random.Generator, *, rounded: bool) -> bytes:
    """A state whose words of four bytes have low halves of zero, or have not."""
    state = bytearray(rng.bytes(MIXED.nbytes))
    if rounded:
        np.frombuffer(state, "<u4", 100, 40)[:] &= 0xFFFF0000
    return bytes(state)


@pytest.mark.parametrize("was", [True, False, None])
def test_of_words_rounded_to_bfloat16_the_high_halves_alone_are_stored(was):
    rng = np.random.default_rng(0)
    before = None if was is None else mixed(rng, rounded=was)
    state_ = mixed(rng, rounded=True)
    file = codec.encode(state_, before, MIXED, 0)
    assert [p for p in sorted(load(zstandard.ZstdDecompressor().decompress(file))) if p[:2] == "w4"] == [
        "w4.plane2",
        "w4.plane3",
    ]
    assert decoded([file], before, MIXED) == state_


@pytest.mark.parametrize("word", [0, 42, 99])
def test_one_word_that_is_not_rounded_is_enough_to_store_all_of_all(word):
    flat = bytearray(mixed(np.random.default_rng(0), rounded=True))
    flat[40 + 4 * word] = 1
    file = codec.encode(bytes(flat), None, MIXED, 0)
    assert "w4.plane0" in load(zstandard.ZstdDecompressor().decompress(file))
    assert decoded([file], None, MIXED) == flat


@pytest.mark.parametrize("planes", [("w4.plane1", "w4.plane2", "w4.plane3"), ("w4.plane0", "w4.plane1"), ("w4.plane3",)])
def test_only_all_planes_or_the_two_high_ones_are_taken(planes):
    data = {p: np.ones(100, np.uint8) for p in planes}
    file = zstandard.ZstdCompressor(write_checksum=True).compress(save(data))
    layout = Layout((Tensor(name="b", dtype="F32", shape=[100]),))
    with pytest.raises(ModelError, match="byte planes of its part"):
        codec.decode(file, bytearray(400), layout, 0, "a", keyframe=True)


def test_the_decoder_of_the_format_page_decodes_rounded_words_in_parts_and_deltas(monkeypatch, tmp_path):
    """The golden bundles have one part, and none of their states is rounded."""
    monkeypatch.setattr("alx.bundle.layout.PART_BYTES", 64)
    rng = np.random.default_rng(1)
    states = [mixed(rng, rounded=r) for r in (False, True, True, False, True, True)]
    listed = []
    for i, written in enumerate(write.candidates(tmp_path, iter(states), MIXED)):
        assert written.state == hashlib.sha256(states[i]).hexdigest()
        listed.append(
            {"keyframe": written.keyframe, "files": [f.name for f in written.files], "state": written.state, "loss": 0}
        )
    (tmp_path / "manifest.json").write_text(json.dumps({"candidates": listed}))
    (code,) = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "format.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [c["state"] for c in listed]


def test_a_state_that_is_looked_at_after_the_next_was_asked_for_is_an_error_and_no_other_state(stage):
    world = stage("sent")
    with carried.survey(world.bundle("learner")) as source:
        signed = read.verify(source, read.claimed_key(source)[0], keys.load_public(world.folder("learner") / "public.pem"))
        states = read.states(source, signed, read.read_manifest(source, signed))
        _, candidate, first = next(states)
        assert hashlib.sha256(first).hexdigest() == candidate.state
        with pytest.raises(TypeError):
            first[0] = 1
        _, _, second = next(states)
        with pytest.raises(ValueError, match="released"):
            first.tobytes()
        assert len(second) == Forge.of(world, "learner").layout.nbytes


def resnet_trajectory(snapshots: int, period: int) -> list[dict[str, torch.Tensor]]:
    """ResNet-18 trained on real digits, sampled every `period` Adam steps (lr 1e-3, batch 4, seed 0)."""
    seed_all(0)
    model = torchvision().models.resnet18(num_classes=10)
    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.float32)[:, None].repeat(1, 3, 1, 1) / 16
    images = nn.functional.interpolate(images, 36)  # at 32 the last stage is 1 x 1, and most weights stand still
    targets = torch.from_numpy(digits.target)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    out = [state.copied(model.state_dict())]
    for step in range(1, (snapshots - 1) * period + 1):
        indices = torch.randint(len(images), (4,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images[indices]), targets[indices]).backward()
        optimiser.step()
        if step % period == 0:
            out.append(state.copied(model.state_dict()))
    return out


def test_a_resnet18_trajectory_takes_at_most_078_of_raw_and_comes_back():
    """One keyframe and fifteen deltas, as bundles have them; the first two deltas, the largest, stand for all."""
    trajectory = resnet_trajectory(snapshots=3, period=20)
    layout = layout_of(trajectory[0])
    before, shares = None, []
    for tensors in trajectory:
        flat = to_flat(tensors, layout)
        parts = [codec.encode(flat, before, layout, p) for p in range(layout.parts)]
        assert hashlib.sha256(decoded(parts, before, layout)).digest() == hashlib.sha256(flat).digest()
        shares.append(sum(map(len, parts)) / layout.nbytes)
        before = flat
    deltas = manifest.KEYFRAME_EVERY - 1
    share = (shares[0] + deltas * sum(shares[1:]) / len(shares[1:])) / manifest.KEYFRAME_EVERY
    print(f"share of raw: keyframe and deltas {[round(s, 4) for s in shares]}, together {share:.4f}")  # noqa: T201 - for -s
    assert share <= 0.78


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("size", [0, 1, 4095, 1 << 16, 1 << 17, (1 << 18) + 1, 3 << 20])
def test_a_frame_has_no_more_blocks_and_bytes_than_its_content_needs(size, level):
    """What zstd makes passes, of noise, of zeros and of both; at any level, as another writer may choose another."""
    rng = np.random.default_rng(0)
    for share in (0, 1, 2):
        content = rng.integers(0, 256, size * share // 2, np.uint8).tobytes().ljust(size, b"\0")
        chunker = zstandard.ZstdCompressor(level=level, write_checksum=True).chunker(size, codec.CHUNK)
        for frame in (compress(content), b"".join([*chunker.compress(content), *chunker.finish()])):
            assert codec._decompress(frame, size, "a frame") == content
    begin = zstandard.frame_header_size(frame)
    for empty in (b"\2\0\0x", b"\0\0\0", b"\x14\0\0\0\0", b"\x1c\0\0\1x\0"):  # a run, as it is, and compressed to nothing
        with pytest.raises(MalformedError, match=r"empty zstd block|does not decompress"):
            codec._decompress(frame[:begin] + empty + frame[begin:], size, "a frame")


def test_a_bool_is_0_or_1_and_holds_nothing_else():
    layout = Layout((Tensor(name="mask", dtype="BOOL", shape=[12]),))
    codec.check_values(bytes([0, 1] * 6), layout, "t=0")
    with pytest.raises(MalformedError, match="'mask' holds a bool that is neither 0 nor 1"):
        codec.check_values(b"secret text!", layout, "t=0")
