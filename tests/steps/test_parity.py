"""Parity does without a second trip: what may be lost, what is rebuilt, and parity that is an attack."""

import ctypes
import functools
import hashlib
import itertools
import json
import mmap
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zfec

from alx import audit
from alx.bundle import carried, groups, keys, parity, read, signature
from alx.bundle.keys import PublicKey
from alx.bundle.write import signed_file
from alx.errors import CorruptError, UsageError
from tests import forge
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import refused_import
from tests.killed import killed, leftovers
from tests.mending import HARMS, MANIFEST, C, also_refused, chance, digest, export, fill, harm, imported, with_parity


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.fixture
def bundle(sent) -> Path:
    return sent.bundle("learner")


# --- parity


@pytest.fixture(scope="module")
def _half(_stages, tmp_path_factory) -> Path:
    world = World(Path(shutil.copytree(_stages["sent"], tmp_path_factory.mktemp("half") / "world")))
    with_parity(world, 50)
    return world.root


@pytest.fixture
def half(_half, tmp_path) -> World:
    """Beside the bundle of four data files lies parity for two of them."""
    return World(Path(shutil.copytree(_half, tmp_path / "half")))


@pytest.fixture
def spare(half) -> Path:
    (folder,) = half.disk.glob("*.parity")
    return folder


LOST = [lost for n in (0, 1, 2) for lost in itertools.combinations(C, n)]


@pytest.mark.parametrize("way", HARMS)
def test_the_stated_share_of_files_may_be_lost_whichever_they_are(half, capsys, way):
    """Every pattern, and manifest and signature besides."""
    for lost in LOST:
        world = World(Path(shutil.copytree(half.root, half.root.parent / "again")))
        bundle = world.bundle("learner")
        for name in (*lost, MANIFEST, "round.sig"):
            HARMS[way](bundle / name)
        imported(world, bundle)
        told = capsys.readouterr().out
        words = {0: "", 1: "1 file was rebuilt from parity", 2: "2 files were rebuilt from parity"}[len(lost)]
        assert words in told
        shutil.rmtree(world.root)


def test_one_file_more_is_refused_with_all_of_them_named(half, capsys):
    for lost in itertools.combinations(C, 3):
        world = World(Path(shutil.copytree(half.root, half.root.parent / "again")))
        bundle = world.bundle("learner")
        for name in lost:
            harm(bundle / name)
        words = ("3 of the bundle's files are bad", *lost, "2 of its files are good, and 3 are needed")
        refused_import(capsys, world, "provider", bundle, CorruptError, *words, hint="--request")
        shutil.rmtree(world.root)


@pytest.mark.parametrize("left", ["all", "parity half written", "the copy half written"])
def test_what_an_export_with_parity_left_on_a_disk_needs_no_room_again(half, spare, alx, monkeypatch, left):
    bundle = half.bundle("learner")
    fill(monkeypatch, half.disk)
    if left != "all":
        spare.rename(spare.with_name(f"{spare.name}.partial"))
    if left == "the copy half written":
        (bundle / "round.sig").unlink()
        (bundle / C[3]).unlink()
        bundle.rename(bundle.with_name(f"{bundle.name}.partial"))
    told = alx(*export(half, "--parity", "50"))
    assert (told.code, told.err) == (0, "")
    assert ("was on the disk already" in told.out) == (left != "the copy half written")
    assert not leftovers(half)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> World:
    """A bundle of 61 data files, and parity for a tenth of them."""
    plan = PLAN.replace("round_steps = 12", "round_steps = 300")
    world = pair_world(make_world(tmp_path_factory.mktemp("large") / "world", plan))
    bundle = world.turn("learner")
    assert len(list((bundle / "data").iterdir())) == 61
    with_parity(world, 10)
    return world


@pytest.mark.parametrize("seed", range(4))
def test_a_tenth_of_a_larger_bundle_is_rebuilt_wherever_it_was(large, tmp_path, capsys, seed):
    world = World(Path(shutil.copytree(large.root, tmp_path / "large")))
    bundle = world.bundle("learner")
    data = sorted((bundle / "data").iterdir())
    count = -(-len(data) // 10)
    rng = chance(seed)
    lost = rng.sample(data, count + 1)
    for path in lost:
        rng.choice([*HARMS.values()])(path)
    words = [f"{count + 1} of the bundle's files ", *(p.name for p in lost)]
    refused_import(capsys, world, "provider", bundle, CorruptError, *words, f"{count} of its files are good")
    one = lost[0].relative_to(bundle)
    shutil.copy(world.folder("learner") / "outbox" / bundle.name / one, bundle / one)
    imported(world, bundle)
    assert f"{count} files were rebuilt" in capsys.readouterr().out


def test_parity_works_together_with_a_second_copy_and_from_anywhere(half, spare, capsys):
    bundle = half.bundle("learner")
    other = Path(shutil.copytree(bundle, half.disk / "other"))
    spare = spare.rename(half.root / "kept.parity")
    for name in (*C[:3], MANIFEST):
        harm(bundle / name)
    for name in (*C[1:], "round.sig"):
        harm(other / name)
    imported(half, bundle, other, spare)
    assert "2 files were rebuilt" in capsys.readouterr().out


def test_parity_of_all_files_is_enough_by_itself(sent, bundle):
    spare = with_parity(sent, 100)
    shutil.rmtree(bundle)
    imported(sent, spare)


def test_lost_parity_files_count_like_lost_files(half, spare, capsys):
    bundle = half.bundle("learner")
    harm(bundle / C[0])
    harm(spare / "g00000-p000")
    (spare / MANIFEST).unlink()
    (spare / "round.sig").unlink()
    world = World(Path(shutil.copytree(half.root, half.root.parent / "again")))
    imported(world, world.bundle("learner"))
    (spare / "g00000-p001").unlink()
    words = (f"'{C[0]}' differs", "does not help: 0 of its files are good, and 1 are needed")
    refused_import(capsys, half, "provider", bundle, CorruptError, *words)


def test_each_parity_file_is_opened_at_most_once_and_none_where_the_bundle_is_good(half, monkeypatch):
    opened = []
    really = os.open

    def recording(path, flags, mode=0o777, *, dir_fd=None):
        fd = really(path, flags, mode, dir_fd=dir_fd)
        where = Path(f"/proc/self/fd/{fd}").readlink()
        if (
            where.is_relative_to(half.root.parent)
            and where.parent.name.startswith("alx-")
            and where.parent.suffix == ".parity"
        ):
            opened.append(where.name)
        return fd

    monkeypatch.setattr(os, "open", recording)
    for lost in ([], [C[0]], [C[1], MANIFEST, "round.sig"]):
        opened.clear()
        world = World(Path(shutil.copytree(half.root, half.root.parent / "again")))
        for name in lost:
            harm(world.bundle("learner") / name)
        imported(world, world.bundle("learner"))
        assert len(opened) == len(set(opened))
        assert bool(opened) == bool(lost)
        shutil.rmtree(world.root)


def rewritten(folder: Path, change: Callable[[dict], object]) -> None:
    header = json.loads((folder / "parity.json").read_bytes())
    change(header)
    (folder / "parity.json").write_bytes(forge.form(header))


def forged(folder: Path) -> None:
    """Wrong data, and a header that says it is right."""
    for i in (0, 1):
        harm(folder / f"g00000-p00{i}")
    digests = [hashlib.sha256((folder / f"g00000-p00{i}").read_bytes()).hexdigest() for i in (0, 1)]
    rewritten(folder, lambda h: h.update(groups=[digests]))


def swapped(folder: Path) -> None:
    kept = folder / "kept"
    (folder / "g00000-p000").rename(kept)
    (folder / "g00000-p001").rename(folder / "g00000-p000")
    kept.rename(folder / "g00000-p001")


def put(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


HOSTILE_PARITY = {
    "data that are wrong and called right": (forged, "what it gives is not what was signed"),
    "wrong data": (lambda p: [harm(q) for q in p.glob("g*")], "0 of its files are good"),
    "files swapped": (swapped, "0 of its files are good"),
    "files cut short": (lambda p: [os.truncate(q, 5) for q in p.glob("g*")], "0 of its files are good"),
    "files that grew": (lambda p: [os.truncate(q, 2**20) for q in p.glob("g*")], "0 of its files are good"),
    "a sparse file of a terabyte": (lambda p: os.truncate(p / "g00000-p000", 2**40), "bytes, and may have"),
    "a header of a gigabyte": (lambda p: os.truncate(p / "parity.json", 2**30), "and may have"),
    "a header of five megabytes": (put("parity.json", b" " * (5 << 20)), "and may have 4194304"),
    "a million values": (put("parity.json", b"[" + b"0," * 10**6 + b"0]"), "values, and may have"),
    "deep JSON": (put("parity.json", b"[" * 10**5), "nested too deeply"),
    "an empty header": (put("parity.json", b""), "not JSON"),
    "a key twice": (put("parity.json", b'{"version":1,"version":1}'), "twice"),
    "no header": (lambda p: (p / "parity.json").unlink(), "No such file"),
    "another version": (lambda p: rewritten(p, lambda h: h.update(version=2)), "is not of an alx bundle's parity"),
    "an unknown field": (lambda p: rewritten(p, lambda h: h.update(x=1)), "is not of an alx bundle's parity"),
    "another bundle's": (lambda p: rewritten(p, lambda h: h.update(bundle="0" * 64)), "it is of the bundle 0000"),
    "no groups": (lambda p: rewritten(p, lambda h: h.update(groups=[])), "is not of an alx bundle's parity"),
    "an empty group": (lambda p: rewritten(p, lambda h: h.update(groups=[[]])), "is not of an alx bundle's parity"),
    "more groups than files": (
        lambda p: rewritten(p, lambda h: h.update(groups=h["groups"] * 5)),
        "5 groups, and the bundle has 4 files",
    ),
    "other groups": (lambda p: rewritten(p, lambda h: h.update(groups=h["groups"] * 2)), "files are good"),
    "more parity than files": (
        lambda p: rewritten(p, lambda h: h.update(groups=[["0" * 64] * 5])),
        "5 parity files for a group of 4",
    ),
    "a link": (lambda p: ((p / "g00000-p000").unlink(), (p / "g00000-p000").symlink_to("/etc/passwd")), "symbolic link"),
    "a hard link": (lambda p: os.link(p / "g00000-p000", p / "x"), "hard link"),
    "a pipe": (lambda p: ((p / "g00000-p000").unlink(), os.mkfifo(p / "g00000-p000")), "is a pipe"),
    "a pipe for a header": (lambda p: ((p / "parity.json").unlink(), os.mkfifo(p / "parity.json")), "is a pipe"),
    "a folder": (lambda p: (p / "x").mkdir(), "is a folder"),
    "a name": (lambda p: (p / "a\x1b[2J").touch(), r"a\x1b"),
    "junk": (lambda p: (p / ".DS_Store").touch(), "'.DS_Store' is not of the bundle"),
    "a link in its own place": (lambda p: p.symlink_to(p.rename(p.with_name("kept"))), "symbolic link"),
}


@pytest.mark.parametrize("name", HOSTILE_PARITY)
def test_parity_that_is_an_attack_helps_nobody_and_harms_nobody(half, spare, capsys, name):
    make, words = HOSTILE_PARITY[name]
    bundle = half.bundle("learner")
    for lost in C[:2]:
        harm(bundle / lost)
    make(spare)
    told = ("2 of the bundle's files are bad", *C[:2], f"'{spare.name}' does not help", words)
    refused_import(capsys, half, "provider", bundle, CorruptError, *told, hint="another copy")
    assert {p.name for p in (half.folder("provider") / "staging").iterdir()} == {digest(half)}
    for lost in C[:2]:
        shutil.copy(half.folder("learner") / "outbox" / bundle.name / lost, bundle / lost)
    imported(half, bundle)


def test_a_second_group_of_hostile_parity_spoils_only_itself(half, spare, capsys):
    """Two groups of two files: one is rebuilt although the other's parity lies."""
    bundle = half.bundle("learner")
    rewritten(spare, lambda h: h.update(groups=[["0" * 64], ["1" * 64]]))
    kept = [(bundle / c).read_bytes() for c in C]
    longest = max(len(kept[0]), len(kept[2]))
    made = zfec.Encoder(2, 3).encode([kept[i].ljust(longest, b"\0") for i in (0, 2)], [2])[0]
    (spare / "g00000-p000").write_bytes(made)
    rewritten(spare, lambda h: h.update(groups=[[hashlib.sha256(made).hexdigest()], ["1" * 64]]))
    harm(bundle / C[2])
    harm(bundle / C[3])
    refused_import(capsys, half, "provider", bundle, CorruptError, "1 of the bundle's files is bad", f"'{C[3]}'")


def test_parity_that_is_named_has_to_be_there(sent, bundle, capsys):
    also_refused(capsys, sent, UsageError, "there is no folder", path=bundle, also=[sent.disk / "x.parity"])
    also_refused(capsys, sent, UsageError, "there is no folder", path=sent.disk / "x.parity")
    shutil.copytree(bundle, sent.disk / "x.parity")
    also_refused(capsys, sent, CorruptError, "4 of the bundle's", "does not help", path=sent.disk / "x.parity")


def test_without_zfec_the_extra_is_named(half, capsys, monkeypatch):
    bundle = half.bundle("learner")
    monkeypatch.setitem(sys.modules, "zfec", None)
    before = half.fingerprint("learner")
    arguments = export(half, "--parity", "10")
    forge.refused(capsys, arguments, UsageError, "zfec, which is not installed", hint="pip install 'alx[parity]'")
    assert half.fingerprint("learner") == before
    harm(bundle / C[0])
    refused_import(
        capsys, half, "provider", bundle, CorruptError, "zfec, which is not installed (pip install 'alx[parity]')"
    )


def test_parity_is_told_of_and_recorded(sent, alx):
    site = ("--site", sent.folder("learner"))
    told = alx("export", sent.disk, "--parity", "30", *site)
    assert "any 2 of 4 files can be rebuilt if lost; the manifest is there once more" in told.out
    assert sent.state("learner").entries[-1].record.parity == 30
    assert "round 1, with parity for 30 % of its files, read back" in alx("audit", sent.folder("learner")).out
    told = alx("export", sent.disk, "--parity", "1", "--json", *site)
    (spare,) = sent.disk.glob("*.parity")
    assert json.loads(told.out)["parity"] == str(spare)
    assert sorted(p.name for p in spare.iterdir()) == ["g00000-p000", MANIFEST, "parity.json", "round.sig"]
    assert alx("export", sent.disk, "--parity", "0", *site).code == 2
    assert "leave out one of them" in alx("export", sent.disk, "--parity", "9", "--only", "x", *site).err


def test_parity_is_written_through_no_link_and_read_back(sent, capsys, monkeypatch):
    victim = sent.root / "victim"
    victim.mkdir()
    (victim / "kept").touch()
    for name in (".parity", ".parity.partial"):
        (sent.disk / f"{sent.bundle('learner').name}{name}").symlink_to(victim)
    really = os.fsync

    def losing(fd):
        really(fd)
        if Path(f"/proc/self/fd/{fd}").readlink().name == "g00000-p000":
            os.pwrite(fd, b"\0\0\0\0", 8)

    before = sent.fingerprint("learner")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", losing)
        forge.refused(
            capsys, export(sent, "--parity", "9"), CorruptError, "does not give back", "g00000-p000", hint="another"
        )
    assert sent.fingerprint("learner") == before
    with_parity(sent, 9)
    assert [p.name for p in victim.iterdir()] == ["kept"]


def test_an_export_with_parity_killed_anywhere_goes_on(sent, tmp_path):
    worlds = killed(sent, tmp_path / "killed", "export", "{}/disk", "--parity", "50", "--site", "{}/learner", every=6)
    assert len(worlds) > 3
    for what, world in worlds:
        bundle = world.bundle("learner")
        if next(world.disk.glob("*.parity"), None) is None:
            with_parity(world, 50)
        for name in C[:2]:
            harm(bundle / name)
        assert world.take("provider", bundle) == 0, what


def test_an_import_killed_while_it_rebuilds_goes_on(half, tmp_path):
    bundle = half.bundle("learner")
    for name in C[1:3]:
        harm(bundle / name)
    arguments = ("import-and-select", f"{{}}/disk/{bundle.name}", "--site", "{}/provider")
    worlds = killed(half, tmp_path / "killed", *arguments, every=24)
    assert any("r001" in what for what, _ in worlds)
    for what, world in worlds:
        assert world.take("provider", world.bundle("learner")) == 0, what
        audit.site(world.site("provider"))
        assert not leftovers(world), what


# --- reading back


def resident(path: Path) -> int:
    """Pages of a file that are in the cache, by the kernel's own word."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        said = (ctypes.c_ubyte * -(-len(pages) // mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(pages)
        assert libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(pages)), said) == 0
        del first
        return sum(byte & 1 for byte in said)


def test_what_is_read_back_comes_from_the_disk_and_not_from_the_cache(sent, on_disk, monkeypatch):
    """Pages that were not synced stay in the cache whatever is advised; alx syncs each file before."""
    if not hasattr(os, "posix_fadvise") or not sys.platform.startswith("linux"):
        pytest.skip("only Linux drops a file's pages on demand, and tells")
    probe = on_disk / "probe"
    probe.write_bytes(b"x" * 5000)
    with probe.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(probe):
        pytest.skip("this file system lives in memory")
    left = {}
    really = os.posix_fadvise

    def advising(fd, *arguments):
        path = Path(f"/proc/self/fd/{fd}").readlink()
        assert resident(path) > 0
        really(fd, *arguments)
        left[path.relative_to(on_disk / "stick").as_posix()] = resident(path)

    (on_disk / "stick").mkdir()
    monkeypatch.setattr(os, "posix_fadvise", advising)
    assert forge.run(["export", str(on_disk / "stick"), "--parity", "50", "--site", str(sent.folder("learner"))]) == 0
    assert len(left) == 6 + 5
    assert set(left.values()) == {0}


# --- the arithmetic


def synthetic(root: Path, count: int, seed: int = 0) -> tuple[Path, signature.SignedBundle, bytes]:
    """A signed folder of small files of unequal sizes; no round, but for parity that is all the same."""
    rng = chance(seed)
    folder = root / "bundle"
    (folder / "data").mkdir(parents=True)
    names = [MANIFEST, *(f"data/c{i:05d}" for i in range(count))]
    listed = []
    for name in names:
        (folder / name).write_bytes(rng.randbytes(rng.randrange(200)))
        listed.append(signed_file(name, (folder / name).read_bytes()))
    maker = keys.generate()
    data = signature.sign("alx-00000000-r001-learner", listed, maker)
    return folder, read.verify_signature(data, PublicKey(maker.public_key())), data


@pytest.mark.parametrize(("count", "percent"), [(1, 1), (2, 100), (181, 10), (182, 10), (450, 10), (450, 50), (300, 100)])
def test_the_stated_share_is_rebuilt_here_and_there_or_side_by_side(tmp_path, count, percent):
    folder, signed, data = synthetic(tmp_path, count)
    parity.make(folder, signed, data, percent, tmp_path / "spare", lambda _i, _n: None)
    names = sorted(n for n in signed.files if n != MANIFEST)
    gone = groups.lost(count, percent)
    rng = chance(1)
    at = rng.randrange(count - gone + 1)
    for lost in (rng.sample(names, gone), names[at : at + gone]):
        staged = tmp_path / "staged"
        shutil.copytree(folder, staged)
        for name in lost:
            (staged / name).unlink()
        with carried.survey(tmp_path / "spare") as source:
            assert sorted(parity.rebuild(source, signed, staged, lost)) == sorted(lost)
        assert all((staged / n).read_bytes() == (folder / n).read_bytes() for n in names)
        shutil.rmtree(staged)


def test_groups_are_as_few_and_as_small_as_the_share_allows():
    for count in (1, 2, 10, 100, 150, 181):
        assert groups.shares(count, 10) == (1, groups.lost(count, 10))
    assert groups.shares(100, 100) == (1, 100)
    rng = chance(2)
    for count, percent in ((300, 10), (2000, 10), (2000, 1), (5000, 40), (50_000, 5)):
        number, spare = groups.shares(count, percent)
        assert -(-count // number) + spare <= groups.MAX_SHARES
        for _ in range(20):
            worst = [0] * number
            for i in rng.sample(range(count), groups.lost(count, percent)):
                worst[i % number] += 1
            assert max(worst) <= spare


def test_parity_is_what_the_format_says_without_zfec():
    """docs/format.md: share i is the value at x_i of the polynomial through the files; GF(256) by 0x11d."""
    exp = [1]
    for _ in range(254):
        exp.append(exp[-1] << 1 ^ (0x11D if exp[-1] & 0x80 else 0))
    log = {x: i for i, x in enumerate(exp)}

    def times(a, b):
        return exp[(log[a] + log[b]) % 255] if a and b else 0

    x = [0, *exp]
    for k, m in ((1, 1), (3, 2), (40, 10), (100, 100)):
        blocks = [chance(i).randbytes(3) for i in range(k)]
        for i, got in zip(range(k, k + m), zfec.Encoder(k, k + m).encode(blocks, list(range(k, k + m))), strict=True):
            expected = []
            for t in range(3):
                total = 0
                for j in range(k):
                    others = [n for n in range(k) if n != j]
                    above = functools.reduce(times, (x[i] ^ x[n] for n in others), 1)
                    below = functools.reduce(times, (x[j] ^ x[n] for n in others), 1)
                    total ^= times(blocks[j][t], times(above, exp[-log[below] % 255]))
                expected.append(total)
            assert got == bytes(expected)
