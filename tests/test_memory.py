"""What wants memory does not get it: every bomb is refused by its own class where there is little to be had."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alx.bundle import codec
from alx.bundle.manifest import PART_BYTES, Layout, Tensor, part_name
from alx.cli.main import run
from alx.errors import LimitError, ModelError
from tests import attacks
from tests.forge import Forge, command, well_told

BOMBS = [a for a in attacks.every() if a.bomb]
# Above what a process with all modules loaded has. A document of the most values takes the most of it.
MARGIN = 512 << 20


def limited(commands: list[list[str]], margin: int = MARGIN) -> list[dict]:
    """Run commands with little memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.limited"], input=json.dumps({"margin": margin, "commands": commands}),
        capture_output=True, text=True, check=False, timeout=600, cwd=Path(__file__).parents[1],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("way", ["audit", "import-and-select"])
def test_every_bomb_is_refused_within_half_a_gigabyte(stage, way):
    commands = []
    for attack in BOMBS:
        world = stage(attack.stage[0])
        path = attack.path(world)
        key = world.folder(attack.stage[1]) / "public.pem"
        commands.append(command(world, attack.receiver, path) if way != "audit" else ["audit", str(path), "--key", str(key)])
    assert len(BOMBS) > 15
    done = limited(commands)
    for attack, took in zip(BOMBS, done, strict=True):
        print(f"{way} {attack.name}: {took['peak'] / 2**20:.0f} MiB")  # noqa: T201 - the figures
        assert took["code"] == attack.exit, f"{attack.name}: {took}"
        well_told(took["err"], *attack.words)
        assert 0 <= took["peak"] < MARGIN


def large(forge: Forge, nbytes: int) -> None:
    """A bundle of small files whose two states have so many bytes, all zero."""
    parts, rest = divmod(nbytes, PART_BYTES)
    assert rest == 0
    tensors = (Tensor(name="w", dtype="F32", shape=[nbytes // 4]),)
    file = codec.encode(bytes(PART_BYTES), None, Layout(tensors), 0)
    shutil.rmtree(forge.path("data"))
    forge.path("data").mkdir()
    said = forge.manifest() | {"tensors": [tensors[0].model_dump()]}
    state = hashlib.sha256()
    for _ in range(parts):
        state.update(bytes(PART_BYTES))
    del said["candidates"][2:]
    for i, candidate in enumerate(said["candidates"]):
        candidate.update(state=state.hexdigest(), files=[part_name(i, part) for part in range(parts)], keyframe=True)
        for name in candidate["files"]:
            forge.path(name).write_bytes(file)
    forge.manifest_bytes(json.dumps(said).encode())


@pytest.mark.parametrize(("gib", "words"), [(1, "no memory for a snapshot of 1.1 GB"), (512, "and this machine has")])
def test_an_audit_has_no_model_to_refuse_a_huge_one_by_and_refuses_what_does_not_fit(stage, gib, words):
    """Zeros shrink to a thousandth of a thousandth; an import refuses it as another model."""
    world = stage("sent")
    forge = Forge.of(world, "learner")
    large(forge, min(gib, 1) << 30)
    if gib > 1:  # only the claim: nothing is decoded
        parts = (gib << 30) // PART_BYTES
        said = forge.manifest()
        said["tensors"][0]["shape"] = [gib << 28]
        kept = forge.path("data/c0000-p0000.safetensors.zst").read_bytes()
        for i, candidate in enumerate(said["candidates"]):
            candidate["files"] = [part_name(i, part) for part in range(parts)]
            for name in candidate["files"]:
                forge.path(name).write_bytes(kept)
        forge.manifest_bytes(json.dumps(said).encode())
    assert sum(p.stat().st_size for p in forge.bundle.rglob("*") if p.is_file()) < 64 << 20
    key = world.folder("learner") / "public.pem"
    (took,) = limited([["audit", str(forge.bundle), "--key", str(key)]])
    assert took["code"] == LimitError.exit_code, took
    well_told(took["err"], words, hint="more memory")
    assert run(command(world, "provider", forge.bundle)) == ModelError.exit_code
