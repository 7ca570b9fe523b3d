"""What the tests of a damaged disk share: ways to harm a file, and what an import has to have taken in."""

import os
import random
import shutil
from pathlib import Path

import pytest

from alx import files
from tests import forge
from tests.conftest import World
from tests.forge import command

MANIFEST = "manifest.json"
C = [f"data/c{i:04d}-p0000.safetensors.zst" for i in range(4)]


def chance(seed: int) -> random.Random:
    """The same numbers every time."""
    return random.Random(seed)  # noqa: S311 - no secret


def harm(path: Path) -> None:
    """Another byte in the middle, the same size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


HARMS = {"changed": harm, "gone": Path.unlink, "cut": lambda p: os.truncate(p, 3), "grown": lambda p: os.truncate(p, 10**6)}


def fill(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on a folder is a disk that is full but for what alx leaves over there, and a byte more needs its own room."""
    block = os.statvfs(folder).f_frsize
    size = files.taken(folder, block) + files.SPARE_BYTES

    def usage(_path: Path) -> object:
        used = files.taken(folder, block)
        return shutil._ntuple_diskusage(size, used, size - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)


def imported(world: World, *arguments: Path | str) -> None:
    """The import is accepted, and what was taken in is the learner's own bundle, byte for byte."""
    assert forge.run([*command(world, "provider", arguments[0]), *map(str, arguments[1:])]) == 0
    (taken,) = (world.folder("provider") / "inbox").iterdir()
    sealed = world.folder("learner") / "outbox" / taken.name
    assert {p.relative_to(taken): p.read_bytes() for p in taken.rglob("*") if p.is_file()} == {
        p.relative_to(sealed): p.read_bytes() for p in sealed.rglob("*") if p.is_file()
    }
    assert not list((world.folder("provider") / "staging").iterdir())


def also_refused(capsys, world, error, *words, hint=None, also=(), path=None):
    """An import of several copies is refused, twice alike, and changes nothing."""
    arguments = [*command(world, "provider", path), *map(str, also)]
    before = world.fingerprint("provider")
    forge.refused(capsys, arguments, error, *words, hint=hint)
    assert world.fingerprint("provider") == before


def export(world: World, *arguments: Path | str, role: str = "learner") -> list[str]:
    return ["export", str(world.disk), "--site", str(world.folder(role)), *map(str, arguments)]


def digest(world: World, role: str = "learner", at: int = -1) -> str:
    return world.state(role).position.sealed[at].digest


def with_parity(world: World, percent: int) -> Path:
    """The bundle is exported again, with parity; the parity folder."""
    assert forge.run(export(world, "--parity", str(percent))) == 0
    (folder,) = world.disk.glob("*.parity")
    return folder
