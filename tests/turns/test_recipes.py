"""Blends travel as recipes: whoever has the bundles makes them, to the bit; docs/format.md says how, without torch."""

import json
import math

import numpy as np
import pytest
import torch

from alx import turns
from alx.bundle import recipe
from alx.bundle.layout import Layout, Tensor, layout_order
from alx.errors import CorruptError
from alx.learning import blend, state
from alx.site import shelf
from alx.steps import incoming
from alx.study.exchange import Exchange
from alx.tasks import load
from alx.turns.bridge import from_flat, to_flat
from tests.conftest import make_world, pair_world
from tests.forge import Forge
from tests.golden.make import NET, OWN


def same(parts, shares, layout, parameters, *, rounded):
    """What a recipe makes is what torch makes of it, of complex numbers their parts as real ones."""
    pairs = [
        t.model_copy(update={"dtype": "F32", "shape": [*t.shape, 2]}) if t.dtype == "C64" else t for t in layout.tensors
    ]
    real = Layout(tuple(pairs))
    states = [from_flat(bytes(flat), real) for flat in (parts.start, parts.own, parts.peer, parts.before)]
    expected = blend.blend(*states, blend.Recipe(*shares), parameters)
    single = {t.name for t in layout.tensors if t.dtype == "F32"}
    expected |= state.rounded({n: v for n, v in expected.items() if rounded and n in single})
    averaged = {t.name for t in layout.tensors} - set(parameters)
    return recipe.made(parts, shares, layout, averaged, rounded=rounded) == to_flat(expected, real)


@pytest.mark.parametrize("rounding", ["none", "bfloat16"])
def test_every_blend_of_an_exchange_is_what_its_recipe_says(tmp_path, rounding):
    """Batch-norm statistics, integer buffers, half precision and rounding included; momentum from round 2 on."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "net.py").write_text(NET)
    plan = OWN.replace("rounds = 2", f'rounds = 3\nrounding = "{rounding}"').replace("seed = 3", "seed = 4")
    world = pair_world(make_world(tmp_path / "w", plan))
    checked = set()
    for sender, receiver in [("learner", "provider"), ("provider", "learner")] * 3:
        bundle, now = world.turn(sender), world.state(receiver)
        own = world.state(sender)
        parameters = state.parameters(load.task(now.site.folder, now.site.config, now.site.plan).new_model())
        with incoming.verified(now, [bundle]) as staged, shelf.opened(own, own.position.sealed[-1]) as sealed:
            manifest = staged.manifest
            assert manifest.averaged == ["norm.running_mean", "norm.running_var", "fine"]
            for i, c in enumerate(manifest.candidates):
                flat = staged.state(i)
                assert flat == sealed.state(i)
                if c.blend is not None:
                    shares = c.blend.own, c.blend.peer, c.blend.momentum
                    assert same(staged.parts, shares, manifest.layout, parameters, rounded=rounding != "none")
                    assert c.files == []
                    checked.add(c.label)
        assert world.take(receiver, bundle) == 0
    assert any(" m" in label for label in checked)
    assert len(checked) >= 4


KINDS = {name: dtype for dtype, name in state.DTYPES.items()}


@pytest.mark.parametrize("rounded", [False, True])
def test_a_recipe_makes_the_same_of_every_type_as_torch(rounded):
    layout = Layout(tuple(layout_order(Tensor(name=f"{d}.{k}", dtype=d, shape=[3, 70]) for d in KINDS for k in "pq")))
    generator = torch.Generator().manual_seed(0)

    def drawn(dtype):
        values = torch.randn(3, 70, dtype=torch.float64, generator=generator)
        if dtype.is_complex:
            return torch.complex(values.float(), values.flip(0).float())
        return (values if dtype.is_floating_point else (values > 0)).to(dtype)

    flats = [to_flat({t.name: drawn(KINDS[t.dtype]) for t in layout.tensors}, layout) for _ in range(4)]
    for shares in [(r.own, r.peer, r.momentum) for r in blend.RECIPES] + [(1 / 3, 0.1, 0.7), (4.0, 0.0, 4.0)]:
        parameters = [t.name for t in layout.tensors if t.name.endswith("p")]
        assert same(recipe.Parts(*flats), shares, layout, parameters, rounded=rounded)


@pytest.mark.parametrize(("dtype", "most"), [("F16", 65504), ("BF16", 3e38), ("F8_E5M2", 57344), ("F8_E4M3", 448)])
def test_small_types_are_rounded_to_nearest_with_ties_to_even(dtype, most):
    """All numbers of the type, what lies half-way between two, and its neighbours; beyond the largest there is no number."""
    kind, wide = recipe._KINDS[dtype], KINDS[dtype]
    size = kind.stored.itemsize
    bits = np.arange(1 << 8 * size, dtype=f"u{size}")
    numbers = torch.from_numpy(bits.view(f"i{size}")).view(wide).double().numpy()
    with np.errstate(all="ignore"):
        assert np.array_equal(kind.wide(bits.view(kind.stored)), numbers, equal_nan=True)
        beyond = kind.narrow(np.array([3.4e38, math.inf, math.nan])).astype(kind.stored)
        assert not np.isfinite(kind.wide(beyond)).any()
    rising = np.unique(numbers[np.abs(numbers) <= most])
    middles = ((rising[1:] + rising[:-1]) / 2).astype(np.float32)
    tried = np.concatenate([rising, middles, *(np.nextafter(middles, np.float32(far)) for far in (9e9, -9e9))])
    expected = torch.from_numpy(tried).float().to(wide).view(torch.uint8).numpy()
    assert np.array_equal(kind.narrow(tried).astype(kind.stored).view(np.uint8), expected)


def test_a_bundle_of_version_1_is_taken_and_gone_on_from(stage):
    """Its blends come with their weights; the one that is chosen is made all the same, and compared."""
    world, older = stage("second"), stage("second")
    forged = Forge.of(older, "learner", 2)
    forged.older()
    forged.edit(lambda m: m["candidates"][-1].update(loss=0.0))
    assert older.take("provider", forged.bundle) == 0
    (chosen,) = older.state("provider").position.selected[1:]
    assert (chosen.index, chosen.blend_true) == (len(chosen.labels) - 1, True)
    Forge.of(world, "learner", 2).edit(lambda m: m["candidates"][-1].update(loss=0.0))
    assert world.take("provider", world.bundle("learner", 2)) == 0
    assert world.state("provider").position.selected[-1].own == chosen.own
    for each in (world, older):
        assert json.loads((each.turn("provider") / "manifest.json").read_text())["start"]["candidate"] == chosen.index


def test_where_a_bundle_that_a_blend_is_made_of_is_gone_it_is_said(stage):
    world = stage("finished")
    now = world.state("provider")
    turn = now.position.accepted[-1]
    with shelf.opened(now, turn) as bundle:
        assert bundle.state(len(bundle.manifest.candidates) - 1)
    for needed in (now.position.sealed[0], now.position.accepted[0]):
        place = shelf.place(now.site, needed)
        place.rename(place.with_name("away"))
        with shelf.opened(now, turn) as bundle, pytest.raises(CorruptError, match="is gone") as raised:
            bundle.state(len(bundle.manifest.candidates) - 1)
        assert f"are made of bundle {needed.digest[:16]}…" in raised.value.message
        assert "backup" in raised.value.hint
        place.with_name("away").rename(place)


def test_a_study_keeps_what_the_next_round_is_made_of(stage):
    world = stage("finished")
    Exchange(world.root, {role: world.site(role) for role in ("learner", "provider")}, print).forget()
    now = world.state("learner")  # the provider has trained already
    with shelf.opened(now, now.position.accepted[-1]) as bundle:
        assert all(bundle.state(i) for i in range(len(bundle.manifest.candidates)))


def test_what_travels_with_weights_and_what_as_a_recipe_is_told(stage, alx):
    world = stage("finished")
    bundle, key = world.bundle("learner", 2), world.folder("learner") / "public.pem"
    told = alx("audit", bundle, "--key", key).out
    assert "  snapshots    4 with their weights" in told
    assert "  blends       8 as recipes without weights" in told
    assert "they were not made here" in told
    found = json.loads(alx("audit", bundle, "--key", key, "--json").out)
    assert (found["recipes"], found["recipes_made"]) == (8, 0)
    assert found["raw_bytes"] == 4 * world.state("learner").own.layout.nbytes
    told = alx("audit", world.folder("learner")).out
    assert "each was verified whole, and 21 blends made by the recipe" in told
    assert "with the weights of 8 models, recipes of 8 blends, 16 loss sums" in told
    second = stage("second")
    told = alx("import-and-select", second.bundle("learner", 2), "--site", second.folder("provider")).out
    assert "4 snapshots came with weights; 8 blends came as recipes and were made here, to the bit" in told
    assert turns.sealed(world.state("provider")).contents == "5 snapshots and recipes of 8 blends"
