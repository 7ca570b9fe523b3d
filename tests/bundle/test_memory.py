"""What wants memory does not get it: every bomb is refused by its own class where there is little to be had."""

import os
import shutil

import pytest

from alx.bundle import codec
from alx.bundle.layout import PART_BYTES, Layout, Tensor, part_name
from alx.cli.main import run
from alx.errors import LimitError, ModelError
from tests.campaign import bombs
from tests.forge import Forge, command, form, well_told
from tests.limited import MARGIN, limited
from tests.sealing import sealing


@pytest.mark.parametrize("way", bombs.WAYS)
def test_every_bomb_is_refused_within_half_a_gigabyte(stage, way):
    took = bombs.refused(stage, way)
    assert len(took) > 15
    for attack, peak in took:
        print(f"{way} {attack.name}: {peak / 2**20:.0f} MiB")  # noqa: T201 - the figures
        assert peak < MARGIN


def claim(forge: Forge, nbytes: int) -> None:
    """A bundle of small files whose two states have so many bytes, all zero."""
    tensors = (Tensor(name="w", dtype="F32", shape=[nbytes // 4]),)
    file = codec.encode(bytes(PART_BYTES), None, Layout(tensors), 0)
    shutil.rmtree(forge.path("data"))
    forge.path("data").mkdir()
    said = forge.manifest() | {"tensors": [tensors[0].model_dump()]}
    del said["candidates"][2:]
    for i, candidate in enumerate(said["candidates"]):
        candidate.update(files=[part_name(i, part) for part in range(nbytes // PART_BYTES)], keyframe=True)
        for name in candidate["files"]:
            forge.path(name).write_bytes(file)
    forge.manifest_bytes(form(said))


@pytest.mark.parametrize("words", ["no memory for a snapshot of 1.1 GB", "of memory"])
def test_an_audit_has_no_model_to_refuse_a_huge_one_by_and_refuses_what_does_not_fit(stage, words):
    """Zeros shrink to a thousandth of a thousandth; an import refuses it as another model."""
    world = stage("sent")
    forge = Forge.of(world, "learner")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    size = 1 << 30 if "1.1 GB" in words else (memory // 3 // PART_BYTES + 1) * PART_BYTES
    claim(forge, size)
    assert sum(p.stat().st_size for p in forge.bundle.rglob("*") if p.is_file()) < size // 1000
    key = world.folder("learner") / "public.pem"
    (took,) = limited([["audit", str(forge.bundle), "--key", str(key)]])
    assert took["code"] == LimitError.exit_code, took
    well_told(took["err"], words, hint="more memory")
    assert run(command(world, "provider", forge.bundle)) == ModelError.exit_code


PARTS = 5 * PART_BYTES * codec.MAX_THREADS  # a thread has a part raw, in planes, packed; the allocator keeps some
OTHER = 64 << 20  # the manifest, threads, what the allocator keeps


def test_sealing_takes_three_snapshots_of_ten_and_opening_one(tmp_path):
    """Of fewer, all would fit in what is allowed."""
    size, snapshots = 4 * PART_BYTES, 10
    took = sealing(tmp_path, size, snapshots)
    print({what: f"{peak / 2**20:.0f} MiB" for what, peak in took.items()})  # noqa: T201 - the figures
    assert took["seal"] < 3 * size + PARTS + OTHER < snapshots * size
    assert took["open"] < size + PARTS + OTHER
