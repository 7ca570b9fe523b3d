"""A damaged disk is not the end: copies are merged, a request brings what is missing, parity does without a second trip."""

import itertools
import os
import shutil
from pathlib import Path

import pytest

from alx.errors import (
    CorruptError,
    ForbiddenFileError,
    IncompleteError,
    MalformedError,
    PeerError,
    TrustError,
    UsageError,
)
from tests import forge
from tests.conftest import World
from tests.forge import command, refused_import

MANIFEST = "manifest.json"
C = [f"data/c{i:04d}-p0000.safetensors.zst" for i in range(4)]


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.fixture
def bundle(sent) -> Path:
    return sent.bundle("learner")


@pytest.fixture
def other(bundle) -> Path:
    """A second copy of the bundle."""
    return Path(shutil.copytree(bundle, bundle.parent / "other"))


def harm(path: Path) -> None:
    """Another byte in the middle, the same size."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


HARMS = {"changed": harm, "gone": Path.unlink, "cut": lambda p: os.truncate(p, 3), "grown": lambda p: os.truncate(p, 10**6)}


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
    arguments = [*command(world, "provider", path), *(str(x) for p in also for x in ("--also", p))]
    before = world.fingerprint("provider")
    forge.refused(capsys, arguments, error, *words, hint=hint)
    assert world.fingerprint("provider") == before


# --- copies


@pytest.mark.parametrize("way", HARMS)
@pytest.mark.parametrize("merge", ["at once", "one after the other"])
def test_good_files_of_two_copies_are_merged(sent, bundle, other, capsys, way, merge):
    for path in (bundle / C[0], bundle / C[1], other / MANIFEST, other / C[2]):
        HARMS[way](path)
    if merge == "at once":
        imported(sent, bundle, "--also", other)
    else:
        told = refused_import(
            capsys, sent, "provider", other, CorruptError, "2 of the bundle's files are bad", hint="--also"
        )
        assert C[2] in told
        imported(sent, bundle)


@pytest.mark.parametrize("first", [0, 1])
def test_the_manifest_may_come_from_staging_alone(sent, bundle, other, capsys, first):
    """In either order: the copy with the bad manifest first, or last."""
    (bundle / MANIFEST).unlink()
    (other / C[3]).unlink()
    there = [bundle, other][:: 1 if first == 0 else -1]
    refused_import(capsys, sent, "provider", there[0], CorruptError, "1 of the bundle's files", hint="--also")
    imported(sent, there[1])


def test_three_copies_lend_one_file_each(sent, bundle, other):
    third = Path(shutil.copytree(bundle, bundle.parent / "third"))
    for copy, good in ((bundle, (MANIFEST, C[0])), (other, (C[1], C[2])), (third, (C[3],))):
        for name in {MANIFEST, *C} - {*good}:
            harm(copy / name)
    imported(sent, bundle, "--also", other, "--also", third)


def test_a_file_is_bad_only_where_no_copy_has_it_good(sent, bundle, other, capsys):
    harm(bundle / C[0])
    (other / C[0]).unlink()
    harm(bundle / C[1])
    harm(other / C[2])
    words = ("1 of the bundle's files are bad", f"'{C[0]}' differs from what was signed in copy 1, is missing in copy 2")
    also_refused(capsys, sent, CorruptError, *words, hint="--also", path=bundle, also=[other, other, bundle])
    (staged,) = (sent.folder("provider") / "staging").iterdir()
    assert sorted(p.name for p in staged.rglob("*") if p.is_file()) == sorted([MANIFEST, *(Path(c).name for c in C[1:])])


@pytest.mark.parametrize("way", [*HARMS, "empty"])
@pytest.mark.parametrize("first", [True, False])
def test_a_copy_whose_signature_is_broken_lends_its_files(sent, bundle, other, way, first):
    broken, whole = (bundle, other) if first else (other, bundle)
    if way == "empty":
        os.truncate(broken / "round.sig", 0)
    else:
        HARMS[way](broken / "round.sig")
    harm(whole / C[0])
    imported(sent, bundle, "--also", other)


def test_where_no_signature_verifies_nothing_is_lent(sent, bundle, other, capsys):
    (bundle / "round.sig").unlink()
    os.truncate(other / "round.sig", 0)
    also_refused(capsys, sent, IncompleteError, "has no round.sig", path=bundle, also=[other])
    also_refused(capsys, sent, MalformedError, "not JSON", path=other, also=[bundle])
    harm(sent.disk / "learner.json")
    forge.Forge(other, forge.keys.generate()).sign()
    also_refused(capsys, sent, TrustError, "signed with the key", path=other, also=[bundle])
    assert not (sent.folder("provider") / "staging").exists()


def test_copies_of_another_bundle_are_refused_by_name(stage, capsys):
    world = stage("second")
    old, new = world.bundle("learner", 1), world.bundle("learner", 2)
    for first, second in ((old, new), (new, old)):
        also_refused(capsys, world, UsageError, f"'{second}' is no copy of '{first}'", path=first, also=[second])
    also_refused(capsys, world, PeerError, "of the site's own", path=new, also=[world.bundle("provider", 1)])


def test_a_copy_of_another_bundle_without_its_signature_lends_nothing(stage, capsys):
    world = stage("second")
    old, new = world.bundle("learner", 1), world.bundle("learner", 2)
    (old / "round.sig").unlink()
    harm(new / C[2])
    also_refused(capsys, world, CorruptError, "1 of the bundle's files are bad", C[2], path=new, also=[old])


ATTACKS = {
    "a link": (lambda p: (p.unlink(), p.symlink_to("/etc/passwd")), ForbiddenFileError, "symbolic link"),
    "a pipe": (lambda p: (p.unlink(), os.mkfifo(p)), ForbiddenFileError, "is a pipe"),
    "a name": (lambda p: p.rename(p.with_name("X")), ForbiddenFileError, "a name that no bundle has"),
    "an unsigned file": (lambda p: p.with_name("x").touch(), CorruptError, "'data/x' is not signed"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_second_copy_is_an_attack_until_verified(sent, bundle, other, capsys, name):
    make, error, words = ATTACKS[name]
    make(other / C[1])
    also_refused(capsys, sent, error, words, path=bundle, also=[other])
    also_refused(capsys, sent, UsageError, "there is no bundle folder", path=bundle, also=[sent.disk / "none"])
    also_refused(capsys, sent, UsageError, "a folder that holds bundles", path=bundle, also=[sent.disk])


def test_each_file_of_each_copy_is_opened_at_most_once(sent, bundle, other, monkeypatch):
    for path in (bundle / MANIFEST, other / C[0], bundle / C[1]):
        harm(path)
    opened = []
    really = os.open

    def recording(path, flags, mode=0o777, *, dir_fd=None):
        fd = really(path, flags, mode, dir_fd=dir_fd)
        where = Path(f"/proc/self/fd/{fd}").readlink()
        if where.is_file() and where.is_relative_to(sent.disk):
            opened.append(where)
        return fd

    monkeypatch.setattr(os, "open", recording)
    imported(sent, bundle, "--also", other)
    assert len(opened) == len(set(opened)) == 2 + 7
    assert [p.name for p in opened[:2]] == ["round.sig", "round.sig"]


def test_every_pair_of_patterns_that_covers_all_files_is_accepted(sent, bundle, other, capsys):
    """Each file of five is bad in neither copy, in one, or in both: 4 ** 5 patterns, of which 20 are tried."""
    names = [MANIFEST, *C]
    patterns = list(itertools.product(range(4), repeat=len(names)))
    kept = {name: (bundle / name).read_bytes() for name in names}
    for pattern in patterns[::53]:
        for name, bits in zip(names, pattern, strict=True):
            for bit, copy in ((1, bundle), (2, other)):
                (copy / name).write_bytes(kept[name][:-1] + b"?" if bits & bit else kept[name])
        bad = [name for name, bits in zip(names, pattern, strict=True) if bits == 3]
        world = World(Path(shutil.copytree(sent.root, sent.root.parent / "again")))
        copies = [world.disk / bundle.name, world.disk / "other"]
        if bad:
            told = f"{len(bad)} of the bundle's files are bad"
            also_refused(capsys, world, CorruptError, told, *bad, path=copies[0], also=copies[1:])
        else:
            imported(world, copies[0], "--also", copies[1])
        shutil.rmtree(world.root)
