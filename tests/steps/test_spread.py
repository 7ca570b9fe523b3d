"""One bundle over several disks: dealt out by room, carried apart, taken in together or one after the other."""

import itertools
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alx.bundle import read, share
from alx.errors import CorruptError, IncompleteError, MalformedError, PeerError, SpaceError, UsageError
from alx.site import events
from alx.steps import outgoing
from alx.steps import spread as over_disks
from tests import forge
from tests.conftest import World
from tests.forge import command, refused, refused_import
from tests.killed import killed, leftovers
from tests.mending import MANIFEST, C, also_refused, fill, harm, imported

ALL = {MANIFEST, *C, "round.sig", "share.json"}


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


def disks(world: World, count: int = 2) -> list[Path]:
    """Empty folders, each for a disk."""
    out = [world.root / f"disk{i}" for i in range(1, count + 1)]
    for folder in out:
        folder.mkdir(exist_ok=True)
    return out


def over(world: World, *folders: Path, more: tuple[str, ...] = ()) -> list[str]:
    return ["export", *map(str, folders), *more, "--site", str(world.folder("learner"))]


def spread(world: World, count: int = 2, *more: str) -> list[Path]:
    """The learner's bundle over so many disks: its share on each."""
    folders = disks(world, count)
    assert forge.run(over(world, *folders, more=more)) == 0
    return [next(folder.glob(f"alx-*-learner.{i}-of-{count}")) for i, folder in enumerate(folders, 1)]


def held(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=60), st.lists(st.integers(0, 10**12), min_size=2, max_size=9))
def test_files_are_dealt_by_room_to_within_one_file(sizes, rooms):
    if not any(rooms) or len(sizes) < len(rooms):
        return
    counts = share.deal(sizes, rooms)
    assert len(counts) == len(rooms)
    assert sum(counts) == len(sizes)
    assert min(counts) >= 1
    ends = [0, *itertools.accumulate(counts)]
    for (a, b), room in zip(itertools.pairwise(ends), rooms, strict=True):
        assert sum(sizes[a:b]) * sum(rooms) <= sum(sizes) * room + max(sizes) * sum(rooms)


def test_by_hand_three_fifths_of_the_room_take_three_fifths_of_the_bytes():
    assert share.deal([10] * 10, [300, 200]) == (6, 4)
    assert share.deal([10] * 10, [0, 200]) == (1, 9)
    assert share.deal([10] * 10, [200, 0]) == (9, 1)
    assert share.deal([10, 30, 10], [100, 100]) == (1, 2)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=7), st.lists(st.integers(0, 30), min_size=2, max_size=4))
def test_disks_filled_in_their_order_hold_what_any_deal_in_that_order_does(sizes, rooms):
    if len(sizes) < len(rooms):
        return
    ends = [0, *itertools.accumulate(sizes)]

    def need(part):
        upto = sum(part.counts[: part.disk])
        return ends[upto] - ends[upto - part.counts[part.disk - 1]]

    def fits(counts):
        return all(need(share.Share(k, counts)) <= room for k, room in enumerate(rooms, 1))

    every = [c for c in itertools.product(range(1, len(sizes)), repeat=len(rooms)) if sum(c) == len(sizes)]
    counts = share.fill(len(sizes), rooms, need)
    assert counts in every
    assert fits(counts) == any(map(fits, every))


def test_where_nobody_knows_a_disks_room_it_takes_what_the_others_cannot():
    assert share.fill(6, [None, 2], lambda part: part.counts[part.disk - 1]) == (5, 1)
    assert share.fill(6, [2, None], lambda part: part.counts[part.disk - 1]) == (2, 4)


def test_files_that_do_not_fit_by_the_room_of_each_disk_are_dealt_so_that_they_fit(sent):
    """Of four files of 15 MiB, 33 and 41.4 MiB of room would take one and three; two and two is what they hold."""
    now = sent.state("learner")
    with outgoing.own_bundle(now, now.position.sealed[-1]) as sealed:
        large = {name: sealed.signed.files[name].model_copy(update={"size": 15 << 20}) for name in C}
        own = replace(sealed, signed=replace(sealed.signed, files=sealed.signed.files | large))
        found = [over_disks._Disk(sent.root, sent.root / "none", int(mib * (1 << 20)), 4096) for mib in (33, 41.4)]
        assert over_disks._counts(found, own, None) == (2, 2)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_every_disk_has_manifest_and_signature_and_each_file_lies_on_one(sent, count):
    parts = [held(part) for part in spread(sent, count)]
    for part in parts:
        assert {MANIFEST, "round.sig", "share.json"} < part < ALL
    assert sorted(itertools.chain(*(p - {MANIFEST, "round.sig", "share.json"} for p in parts))) == sorted(C)
    (entry,) = [e for e in sent.state("learner").entries if "disks" in json.loads(e.line.body)]
    assert json.loads(entry.line.body)["disks"] == count


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_both_disks_named_at_once_are_one_bundle(sent, order):
    parts = spread(sent)
    imported(sent, *(parts[i] for i in order))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_one_port_takes_disk_after_disk(sent, order):
    parts = spread(sent, 3)
    first, second, last = (parts[i] for i in order)
    for part in (first, second):
        assert sent.take("provider", part) == IncompleteError.exit_code
    imported(sent, last)


def test_what_is_still_to_come_is_told_by_the_disks_names(sent, capsys):
    parts = spread(sent, 3)
    bundle = sent.bundle("learner").name
    words = ("disks 2 of 3 and 3 of 3 are still to come, with", "files of the bundle (")
    hint = f"alx import-and-select DISK/{bundle}.2-of-3 and DISK/{bundle}.3-of-3; what is here was kept"
    refused_import(capsys, sent, "provider", parts[0], IncompleteError, *words, hint=hint)
    words, hint = ("disk 3 of 3 is still to come",), f"DISK/{bundle}.3-of-3;"
    also_refused(capsys, sent, IncompleteError, *words, hint=hint, path=parts[1], also=[parts[0]])
    ask = ["--request", str(sent.root / "ask.json")]
    refused(capsys, [*command(sent, "provider", parts[0]), *ask], IncompleteError, "disk")
    refusals = [e.record for e in events.read(sent.site("provider").events_path) if e.line.kind == "refused"]
    assert {r.to_come for r in refusals} == {True}
    assert not (sent.root / "ask.json").exists()  # what lies on another disk is not asked for


def test_the_same_disk_again_is_not_the_second(sent, capsys):
    one, two = spread(sent)
    copy = shutil.copytree(one, sent.root / "copy")
    also_refused(capsys, sent, IncompleteError, "disk 2 of 2 is still to come", path=one, also=[copy])
    imported(sent, two)


def test_a_foreign_second_disk_is_refused_and_the_first_is_kept(stage, capsys):
    world = stage("second")
    first, second = spread(world)
    old = world.bundle("learner", 1)
    assert world.take("provider", first) == IncompleteError.exit_code
    kept = held(world.folder("provider") / "staging")
    also_refused(capsys, world, UsageError, "is no copy of", "but another bundle", path=first, also=[old])
    stranger = shutil.copytree(second, world.root / "stranger")
    forge.Forge(stranger, forge.keys.generate()).sign()
    assert world.take("provider", stranger) == 11
    refused_import(capsys, world, "provider", world.bundle("provider", 1), PeerError, "of this site's own")
    assert held(world.folder("provider") / "staging") == kept
    assert world.take("provider", second) == 0


def test_a_damaged_file_is_told_apart_from_a_disk_that_is_not_here(sent, capsys):
    one, two = spread(sent)
    name = min(held(one) & {*C})
    harm(one / name)
    words = ("1 of the bundle's files is bad", f"'{name}' differs from what was signed", "disk 2 of 2 is still to come")
    refused_import(capsys, sent, "provider", one, CorruptError, *words, hint="another copy")
    ask = sent.root / "ask.json"
    assert forge.run([*command(sent, "provider", one), str(two), "--request", str(ask)]) == CorruptError.exit_code
    assert forge.run(over(sent, sent.disk, more=("--only", str(ask)))) == 0
    (repair,) = sent.disk.glob("*.repair-*")
    assert held(repair) == {name, "round.sig"}
    imported(sent, repair)


def test_a_file_lost_from_a_disk_is_bad_and_not_awaited(sent, capsys):
    one, two = spread(sent)
    (one / min(held(one) & {*C})).unlink()
    refused_import(
        capsys, sent, "provider", one, CorruptError, "1 of the bundle's files is bad", "is missing", "disk 2 of 2"
    )
    imported(sent, sent.bundle("learner"), two)


FALSE = {
    "no JSON": b"{",
    "another bundle": lambda said: said | {"bundle": "0" * 64},
    "another number of files": lambda said: said | {"files": [1, 1]},
    "a disk that there is not": lambda said: said | {"disk": 3},
    "no files": lambda said: said | {"files": [0, 4]},
    "an unknown field": lambda said: said | {"more": 1},
    "too long": b" " * 5000,
}


@pytest.mark.parametrize("way", FALSE)
def test_a_false_share_json_is_refused_and_takes_nothing_in(sent, capsys, way):
    one, two = spread(sent)
    path, false = one / "share.json", FALSE[way]
    path.write_bytes(false if isinstance(false, bytes) else json.dumps(false(json.loads(path.read_bytes()))).encode())
    also_refused(capsys, sent, CorruptError, "'share.json' is not of the bundle (", path=one, also=[two])
    path.unlink()
    imported(sent, one, two)


def test_a_share_that_lies_about_the_other_disk_costs_words_only(sent):
    one, two = spread(sent)
    signed = read.verify_signature((one / "round.sig").read_bytes(), sent.state("learner").keyring.own[-1])
    for false in ((1, 3), (3, 1), (1, 1, 2)):
        (one / "share.json").write_bytes(share.Share(1, false).text(signed))
        assert sent.take("provider", one) in {IncompleteError.exit_code, CorruptError.exit_code}
    imported(sent, one, two)


def test_each_disk_mends_itself_by_its_own_parity(sent, capsys):
    parts = spread(sent, 2, "--parity", "50")
    for part in parts:
        harm(part / min(held(part) & {*C}))
    assert sent.take("provider", parts[0]) == IncompleteError.exit_code
    imported(sent, parts[1])
    assert "1 file was rebuilt from parity" in capsys.readouterr().out


def test_the_same_command_again_reads_both_disks_back_and_says_so(sent, alx):
    spread(sent)
    told = alx(*over(sent, *disks(sent)))
    assert told.code == 0
    assert told.out.count("was on the disk already, read back and verified") == 2
    assert "safe to remove the disks" in told.out
    found = json.loads(alx(*over(sent, *disks(sent), more=("--json",))).out)
    assert [each["again"] for each in found["disks"]] == [True, True]


def test_what_cannot_be_is_refused(sent, stage, capsys):
    one, two = disks(sent)
    refused(capsys, over(sent, one, one), UsageError, "is named twice")
    refused(capsys, over(sent, one, sent.root / "none"), UsageError, "there is no folder", hint="mounted")
    refused(capsys, over(sent, *disks(sent, 5)), UsageError, "the bundle has 4 files, too few for 5 disks")
    refused(capsys, over(sent, one, two, more=("--only", "x")), UsageError, "which go on one disk")
    refused(capsys, over(sent, one, sent.folder("learner")), UsageError)
    spread(sent)
    refused(capsys, over(sent, two, one), UsageError, "2-of-2' already, and is named in the place of", hint="same order")
    world = stage("finished")
    refused(capsys, over(world, *disks(world)), UsageError, "a closing is one small file")
    refused(capsys, command(sent, "provider", one), UsageError, "not a bundle, but a folder that holds", hint="1-of-2")


def test_a_damaged_share_on_the_disk_is_not_given_out_again(sent, capsys):
    one, _ = spread(sent)
    harm(one / min(held(one) & {*C}))
    refused(capsys, over(sent, *disks(sent)), CorruptError, "had already is not the sealed bundle", hint="delete")
    shutil.rmtree(one)
    assert forge.run(over(sent, *disks(sent))) == 0


def test_killed_at_a_point_the_same_command_goes_on_with_the_same_shares(sent, tmp_path):
    disks(sent)
    worlds = killed(sent, tmp_path / "killed", *over(World(Path("{}")), Path("{}/disk1"), Path("{}/disk2")), every=25)
    assert len(worlds) > 3
    for what, world in worlds:
        for part in world.root.glob("disk?/*-of-2"):
            assert {MANIFEST, "round.sig", "share.json"} < held(part), what
        assert forge.run(over(world, world.root / "disk1", world.root / "disk2")) == 0, what
        assert not leftovers(world), what
    imported(world, *(next(world.root.glob(f"disk{i}/*-of-2")) for i in (1, 2)))


@pytest.mark.parametrize("name", ["", "share.json"])
@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, Path.mkdir], ids=["file", "pipe", "folder"])
def test_what_is_of_another_type_in_an_interrupted_share_is_replaced(sent, make, name):
    one, _ = disks(sent)
    copy = one / f"{sent.bundle('learner').name}.1-of-2.partial" / name
    copy.parent.mkdir(exist_ok=True)
    make(copy)
    imported(sent, *spread(sent))


def test_a_copy_that_was_broken_off_goes_on_at_the_next_file(sent):
    """Whole files are not written again: their inodes stay."""
    one, two = disks(sent)
    shares = spread(sent)
    whole = shares[0].rename(shares[0].with_name(shares[0].name + ".partial"))
    shutil.rmtree(shares[1])
    (whole / "round.sig").unlink()
    before = {p: p.stat().st_ino for p in whole.rglob("*.zst")}
    assert forge.run(over(sent, one, two)) == 0
    assert {shares[0] / p.relative_to(whole): inode for p, inode in before.items()} == {
        p: p.stat().st_ino for p in shares[0].rglob("*.zst")
    }
    imported(sent, *shares)


@pytest.mark.parametrize("left", ["all", "parity half written", "the copy half written"])
def test_what_an_export_left_on_its_disks_needs_no_room_again(sent, monkeypatch, left):
    both = sent.root / "both"
    both.mkdir()
    shares = spread(sent, 2, "--parity", "50")
    for part in shares:
        part.parent.rename(both / part.parent.name)
    fill(monkeypatch, both)
    for part in both.glob("disk*/*-of-2"):
        spare = part.with_name(f"{part.name}.parity")
        if left != "all":
            spare.rename(f"{spare}.partial")
        if left == "the copy half written":
            (part / "round.sig").unlink()
            part.rename(f"{part}.partial")
    assert forge.run(over(sent, both / "disk1", both / "disk2", more=("--parity", "50"))) == 0
    assert sorted(p.name for p in both.glob("disk*/*")) == sorted(n for p in shares for n in (p.name, f"{p.name}.parity"))


@pytest.fixture
def small(tmp_path):
    """Two disks of 1.3 and 1.2 MB, of which 1 MB is left over after a copy."""
    out = [tmp_path / "a", tmp_path / "b"]
    for folder, size in zip(out, (1300, 1200), strict=True):
        folder.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            pytest.skip("no permission to mount a tmpfs")
    yield out
    for folder in out:
        subprocess.run(["umount", folder], check=True)


def test_disks_without_room_are_refused_before_anything_is_written(sent, small, capsys):
    one, two = small
    for folder, kilobytes in ((one, 270), (two, 170)):
        (folder / "other").write_bytes(os.urandom(kilobytes << 10))
    told = refused(
        capsys, over(sent, one, two), SpaceError, "of room are missing for the bundle's", f"'{one}'", f"'{two}'", hint="free"
    )
    assert "needed, of the room that there is" in told
    assert [held(folder) for folder in small] == [{"other"}] * 2
    for folder in small:
        (folder / "other").unlink()
    assert forge.run(over(sent, one, two)) == 0
    parts = [next(folder.glob("*-of-2")) for folder in small]
    counts = [len(held(part) & {*C}) for part in parts]
    assert counts[0] >= counts[1] >= 1
    imported(sent, *parts)


def test_one_disk_without_room_says_that_two_can_do(sent, small, capsys):
    (small[0] / "other").write_bytes(os.urandom(270 << 10))
    refused(capsys, over(sent, small[0]), SpaceError, "free, expected at least", hint="alx export DISK1 DISK2")


def test_the_files_that_a_share_names_are_the_bundles(sent):
    parts = spread(sent)
    site = sent.state("learner")
    signed = read.verify_signature((parts[0] / "round.sig").read_bytes(), site.keyring.own[-1])
    with pytest.raises(MalformedError):
        share.parse(b"[]", signed)
    for i, part in enumerate(parts, 1):
        found = share.parse((part / "share.json").read_bytes(), signed)
        assert found.disk == i
        assert found.folder(signed.name) == part.name
        assert set(found.of(signed).files) == held(part) - {"round.sig", "share.json"}


def test_an_audit_of_one_disk_says_what_is_whole_and_what_is_not_there(sent, alx, capsys):
    parts = spread(sent)
    key = ["--key", str(sent.folder("learner") / "public.pem")]
    files = [held(part) & {*C} for part in parts]
    counts = [len(names) for names in files]
    for i, part in enumerate(parts, 1):
        told = alx("audit", part, *key)
        assert told.code == 0
        assert f"disk {i} of 2 of the bundle '{sent.bundle('learner').name}': good" in told.out
        there = counts[2 - i]
        assert f"not here     {there} file" in told.out
        assert f"on disk {3 - i}\n" in told.out
        found = json.loads(alx("audit", part, *key, "--json").out)
        assert (found["disk"], found["disks"], found["files"]) == (i, 2, 1 + counts[i - 1])
        assert set(found["elsewhere"]) == files[2 - i]
        name = min(files[i - 1])
        harm(part / name)
        refused(capsys, ["audit", str(part), *key], CorruptError, "1 of the bundle's files is bad", name)
        (part / name).unlink()
        refused(capsys, ["audit", str(part), *key], CorruptError, "1 of the bundle's files is bad", name, "is missing")


def test_what_lies_on_one_of_several_disks_gets_no_label_and_each_disk_the_receipt(sent, stage, capsys):
    one, two = spread(sent)
    for share_ in (one, two):
        words = ["label", str(share_), "--key", str(sent.folder("learner") / "public.pem")]
        refused(capsys, words, IncompleteError, "one of 2 disks", hint="alx audit")
    assert not list(one.parent.glob("*.receipt.json"))  # nothing was accepted yet
    world = stage("second")
    for folder in (part.parent for part in spread(world)):
        assert [path.name.partition(".")[0][-8:] for path in folder.glob("*.receipt.json")] == ["provider"]
