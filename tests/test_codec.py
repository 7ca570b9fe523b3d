"""The codec: lossless to the bit for any dtype, cut into parts, and small on real trajectories."""

import hashlib
import math
from typing import get_args

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load
from sklearn.datasets import load_digits
from torch import nn

from alx.bundle import codec, manifest
from alx.bundle.manifest import DTYPES, Layout, Tensor, layout_order
from alx.errors import NotFiniteError
from alx.learning import state
from alx.learning.trajectory import seed_all
from alx.tasks.torchvision_cpu import torchvision
from alx.turns.bridge import from_flat, layout_of, to_flat


def layouts() -> st.SearchStrategy[Layout]:
    shapes = st.lists(st.integers(0, 5), max_size=3)
    tensors = st.lists(st.tuples(st.sampled_from(sorted(DTYPES)), shapes), min_size=1, max_size=6)
    return tensors.map(
        lambda listed: Layout(tuple(layout_order(Tensor(name=f"t{i}", dtype=d, shape=s) for i, (d, s) in enumerate(listed))))
    )


@given(layouts(), st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None)
def test_every_dtype_and_every_bit_pattern_comes_back(layout, random, keyframe):
    first, second = (random.randbytes(layout.nbytes) for _ in range(2))
    before = None if keyframe else first
    file = codec.encode(memoryview(second), before, layout, 0)
    assert codec.decode(file, before, layout, 0, "a") == second


def test_a_state_is_cut_into_parts_that_cross_word_sizes(monkeypatch):
    monkeypatch.setattr(manifest, "PART_BYTES", 64)
    layout = Layout(tuple(layout_order([
        Tensor(name="a", dtype="I64", shape=[5]), Tensor(name="b", dtype="F32", shape=[33]),
        Tensor(name="c", dtype="BF16", shape=[7]), Tensor(name="d", dtype="BOOL", shape=[3]),
    ])))  # fmt: skip
    rng = np.random.default_rng(0)
    first, second = (rng.bytes(layout.nbytes) for _ in range(2))
    assert layout.parts == math.ceil(layout.nbytes / 64) > 2
    out = b"".join(codec.decode(codec.encode(second, first, layout, p), first, layout, p, "a") for p in range(layout.parts))
    assert out == second


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
    codec.check_finite(to_flat({"w": good}, layout), layout, "t=0")
    spoilt = good.clone()
    spoilt[69] = torch.tensor(bad).to(dtype)
    with pytest.raises(NotFiniteError, match="t=4: tensor 'w'"):
        codec.check_finite(to_flat({"w": spoilt}, layout), layout, "t=4")


def test_a_file_is_one_zstd_frame_around_a_safetensors_file():
    layout = Layout((Tensor(name="w", dtype="F32", shape=[100]),))
    flat = np.arange(100, dtype="<f4").tobytes()
    opened = load(zstandard.ZstdDecompressor().decompress(codec.encode(flat, None, layout, 0)))
    assert sorted(opened) == ["w4.plane0", "w4.plane1", "w4.plane2", "w4.plane3"]


def resnet_trajectory(snapshots: int, period: int) -> list[dict[str, torch.Tensor]]:
    """ResNet-18 trained on real digits, sampled every `period` Adam steps (lr 1e-3, batch 16, seed 0)."""
    seed_all(0)
    model = torchvision().models.resnet18(num_classes=10)
    digits = load_digits()
    images = torch.from_numpy(digits.images).to(torch.float32)[:, None].repeat(1, 3, 1, 1) / 16
    images = nn.functional.interpolate(images, 64)  # at 32 the last stage is 1 x 1, and most weights stand still
    targets = torch.from_numpy(digits.target)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    out = [state.of(model)]
    for step in range(1, (snapshots - 1) * period + 1):
        indices = torch.randint(len(images), (16,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images[indices]), targets[indices]).backward()
        optimiser.step()
        if step % period == 0:
            out.append(state.of(model))
    return out


def test_a_resnet18_trajectory_takes_at_most_078_of_raw_and_comes_back():
    """One keyframe and fifteen deltas, as bundles have them; the first three deltas, the largest, stand for all."""
    trajectory = resnet_trajectory(snapshots=4, period=20)
    layout = layout_of(trajectory[0])
    before, shares = None, []
    for tensors in trajectory:
        flat = to_flat(tensors, layout)
        parts = [codec.encode(memoryview(flat), before, layout, p) for p in range(layout.parts)]
        back = b"".join(codec.decode(f, before, layout, p, "a") for p, f in enumerate(parts))
        assert hashlib.sha256(back).digest() == hashlib.sha256(flat).digest()
        shares.append(sum(map(len, parts)) / layout.nbytes)
        before = flat
    deltas = manifest.KEYFRAME_EVERY - 1
    share = (shares[0] + deltas * sum(shares[1:]) / len(shares[1:])) / manifest.KEYFRAME_EVERY
    print(f"share of raw: keyframe and deltas {[round(s, 4) for s in shares]}, together {share:.4f}")  # noqa: T201 - for -s
    assert share <= 0.78
