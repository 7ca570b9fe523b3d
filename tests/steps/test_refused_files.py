"""The carried folder: damage, odd files, odd file systems, full disks. Good files stay staged; nothing is followed."""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alx import turns
from alx.errors import CorruptError, ForbiddenFileError, MalformedError, SpaceError, StorageError, UsageError
from alx.steps import outgoing
from tests import forge
from tests.conftest import World
from tests.forge import Forge, refused, refused_import
from tests.mending import C, fill

DATA = "data/c0001-p0000.safetensors.zst"


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.fixture
def bundle(sent) -> Path:
    return sent.bundle("learner")


def flip(path: Path, at: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", [".DS_Store", "data/.DS_Store"])
def test_a_bundle_is_good_again_once_the_junk_is_deleted(sent, bundle, capsys, name):
    (bundle / name).touch()
    refused_import(capsys, sent, "provider", bundle, ForbiddenFileError, hint="delete it")
    (bundle / name).unlink()
    assert sent.take("provider", bundle) == 0


def test_the_disk_given_instead_of_the_bundle_is_answered_with_the_bundle(sent, bundle, capsys):
    (sent.disk / "alx-00000000-r002-learner.partial").mkdir()
    refused_import(
        capsys, sent, "provider", sent.disk, UsageError, "folder that holds bundles", hint=f"did you mean {bundle}"
    )


@pytest.mark.parametrize("spoil", [lambda d: b"\0" * len(d), lambda d: d[:1000], lambda _: b""])
def test_a_signature_file_that_was_not_copied_whole_says_what_to_do(sent, bundle, capsys, spoil):
    path = bundle / "round.sig"
    path.write_bytes(spoil(path.read_bytes()))
    refused_import(capsys, sent, "provider", bundle, MalformedError, "round.sig", hint="copy the bundle again")
    key = str(sent.folder("learner") / "public.pem")
    refused(capsys, ["audit", str(bundle), "--key", key], MalformedError, "round.sig", hint="copy the bundle again")


def test_what_is_not_there_is_a_usage_error(sent, bundle, capsys):
    path = sent.disk / "none"
    refused_import(capsys, sent, "provider", path, UsageError, "there is no bundle folder", hint="is the disk there")
    path = bundle / "round.sig"
    refused_import(capsys, sent, "provider", path, UsageError, "is a file, and a bundle is a folder", hint="alx pair")
    refused_import(capsys, sent, "provider", sent.disk / ("x" * 300), StorageError, "cannot use", hint="shorter name")


def test_every_bad_file_is_named_and_the_good_ones_are_not_copied_again(sent, bundle, capsys):
    bad = ("manifest.json", "data/c0000-p0000.safetensors.zst", "data/c0002-p0000.safetensors.zst")
    kept = {name: (bundle / name).read_bytes() for name in bad}
    for name in bad:
        flip(bundle / name)
    words = [f"'{name}' differs" for name in bad]
    refused_import(capsys, sent, "provider", bundle, CorruptError, "3 of the bundle's files are bad", *words, hint="copy")
    (staged,) = (sent.folder("provider") / "staging").iterdir()
    good = {p.name: p.stat().st_ino for p in staged.rglob("*") if p.is_file()}
    assert sorted(good) == ["c0001-p0000.safetensors.zst", "c0003-p0000.safetensors.zst"]
    for name, data in kept.items():
        (bundle / name).write_bytes(data)
    assert sent.take("provider", bundle) == 0
    inbox = sent.folder("provider") / "inbox" / bundle.name
    assert {name: (inbox / "data" / name).stat().st_ino for name in good} == good
    assert not list((sent.folder("provider") / "staging").iterdir())


@pytest.mark.parametrize("swap", ["pipe", "link", "content"])
def test_a_disk_that_changes_between_look_and_use_gains_nothing(sent, bundle, monkeypatch, swap):
    really = os.open
    path = bundle / "manifest.json"
    (sent.root / "secret").write_text("{}")
    kept = path.read_bytes()

    def swapping(name, flags, mode=0o777, *, dir_fd=None):
        if name == "manifest.json" and dir_fd is not None:
            path.unlink(missing_ok=True)
            if swap == "pipe":
                os.mkfifo(path)
            elif swap == "link":
                path.symlink_to(sent.root / "secret")
            else:
                path.write_bytes(kept.replace(b'"round": 1', b'"round": 2'))
        return really(name, flags, mode, dir_fd=dir_fd)

    def restore():
        path.unlink()
        path.write_bytes(kept)

    before = sent.fingerprint("provider")
    monkeypatch.setattr(os, "open", swapping)
    error = CorruptError if swap == "content" else ForbiddenFileError
    with pytest.raises(error):
        forge.cli.main(args=forge.command(sent, "provider", bundle), standalone_mode=False)
    restore()
    assert forge.run(forge.command(sent, "provider", bundle)) == error.exit_code
    assert sent.fingerprint("provider") == before


@pytest.mark.parametrize("names", [("c0002",), ("manifest", "c0000", "c0001", "c0002", "c0003")])
def test_a_file_that_the_disk_does_not_give_is_one_bad_file(sent, bundle, capsys, monkeypatch, names):
    """A bad place on the disk; or the disk pulled out, after the signature was read."""
    really = os.open

    def gone(name, flags, mode=0o777, *, dir_fd=None):
        if dir_fd is not None and name.startswith(names):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(name, flags, mode, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", gone)
        words = [
            f"'{p.relative_to(bundle)}' cannot be read (Input/output error)"
            for p in bundle.rglob("*")
            if p.name.startswith(names)
        ]
        count = f"{len(names)} of the bundle's files "
        refused_import(capsys, sent, "provider", bundle, CorruptError, count, *words, hint="copy")
        (staged,) = (sent.folder("provider") / "staging").iterdir()
        assert len([p for p in staged.rglob("*") if p.is_file()]) == 5 - len(names)
    assert sent.take("provider", bundle) == 0


@pytest.mark.parametrize("name", ["manifest.json", DATA])
def test_a_bad_place_in_what_was_copied_before_is_one_file_to_copy_again(sent, bundle, monkeypatch, name):
    target, (turn,) = sent.root / "stick", sent.state("learner").position.sealed
    copies = [target / f"{bundle.name}.partial", sent.folder("provider") / "staging" / turn.digest]
    for copy in copies:
        (shutil.copytree(bundle, copy) / "round.sig").unlink()
    really = Path.open
    with contextlib.ExitStack() as stack, monkeypatch.context() as patch:
        held = [stack.enter_context((copy / name).open("rb")) for copy in copies]  # nothing else gets their inodes
        bad = {os.fstat(file.fileno()).st_ino for file in held}

        def failing(path, *arguments, **more):
            file = stack.enter_context(really(path, *arguments, **more))
            if os.fstat(file.fileno()).st_ino in bad:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return file

        patch.setattr(Path, "open", failing)
        assert forge.run(["export", str(target), "--site", str(sent.folder("learner"))]) == 0
        assert sent.take("provider", target / bundle.name) == 0


def test_everything_that_a_mac_leaves_beside_the_files_is_named_in_one_refusal(sent, bundle, capsys):
    beside = [p.with_name(f"._{p.name}") for p in bundle.rglob("*") if p.is_file()]
    for path in (*beside, bundle / ".DS_Store"):
        path.write_bytes(b"x")
    names = [f"'{p.relative_to(bundle).as_posix()}'" for p in beside]
    refused_import(
        capsys,
        sent,
        "provider",
        bundle,
        ForbiddenFileError,
        *names,
        "'.DS_Store'",
        "are not of the bundle",
        hint="delete them",
    )
    (bundle / "Thesis.doc").write_bytes(b"x")
    refused_import(capsys, sent, "provider", bundle, ForbiddenFileError, *names, "'Thesis.doc' is a name that no bundle has")
    for path in (*beside, bundle / ".DS_Store", bundle / "Thesis.doc"):
        path.unlink()
    for i in range(30):
        (bundle / f"._{i}").touch()
        (bundle / f"Thesis {i}").touch()
    refused_import(
        capsys,
        sent,
        "provider",
        bundle,
        ForbiddenFileError,
        "and 10 more are not of the bundle",
        "and 10 more are names that no",
    )


# --- space and unwilling disks


def nearly_full(_path):
    return shutil._ntuple_diskusage(1 << 30, 1 << 30, 1 << 20)


def test_an_import_without_space_copies_nothing(sent, bundle, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", nearly_full)
        refused_import(capsys, sent, "provider", bundle, SpaceError, "1.0 MB free, expected at least", hint="free some")
    assert sent.take("provider", bundle) == 0


def test_what_an_import_left_in_staging_needs_no_room_again(sent, bundle, monkeypatch):
    """Of files that have to be copied again, and of such that are no longer wanted."""
    (bundle / C[0]).rename(bundle.parent / "kept")
    assert sent.take("provider", bundle) == CorruptError.exit_code
    (bundle.parent / "kept").rename(bundle / C[0])
    (staged,) = (sent.folder("provider") / "staging").iterdir()
    (staged / C[1]).write_bytes(bytes(2 * (bundle / C[1]).stat().st_size))
    (staged / "other").write_bytes(bytes((bundle / C[0]).stat().st_size))
    fill(monkeypatch, sent.folder("provider"))
    assert sent.take("provider", bundle) == 0


def test_an_export_without_space_writes_nothing(sent, bundle, capsys, monkeypatch):
    target = sent.root / "other"
    target.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    arguments = ["export", str(target), "--site", str(sent.folder("learner"))]
    refused(capsys, arguments, SpaceError, "1.0 MB free", hint="larger disk")
    assert not list(target.iterdir())
    assert bundle.is_dir()


@pytest.mark.parametrize("way", ["export", "import-and-select"])
def test_a_disk_that_fills_up_midway_stops_the_command_and_the_same_command_goes_on(sent, bundle, way):
    """The kernel's own refusal of a write: a file may not grow beyond 1,000 bytes, and the manifest does."""
    target = sent.root / "other"
    target.mkdir()
    role = "learner" if way == "export" else "provider"
    arguments = [way, str(target if way == "export" else bundle), "--site", str(sent.folder(role))]
    before = sent.fingerprint(role)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with (
            pytest.raises(SpaceError, match=r"no space left at .*manifest\.json") as raised,
            sent.site(role).locked(way) as now,
        ):
            outgoing.export(now, target) if way == "export" else turns.import_and_select(now, bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "run it again" in raised.value.hint
    assert "nor could the event log record this" in raised.value.message  # which may not grow either
    assert sent.fingerprint(role) == before
    assert not (target / bundle.name).exists()
    assert forge.run(arguments) == 0


def test_a_disk_that_takes_no_writes_is_a_storage_error(sent, capsys):
    """A folder of the kernel's: there even root makes none."""
    arguments = ["export", "/proc", "--site", str(sent.folder("learner"))]
    before = sent.fingerprint("learner")
    refused(capsys, arguments, StorageError, "cannot use '/proc/", hint="writable")
    refused(capsys, ["export", str(sent.root / "none"), *arguments[2:]], UsageError, "there is no folder", hint="mounted")
    assert sent.fingerprint("learner") == before


def test_a_fake_stick_is_found_out_and_the_export_is_not_recorded(sent, bundle, capsys, monkeypatch):
    target = sent.root / "stick"
    target.mkdir()
    really = os.fsync

    def losing(fd):
        really(fd)
        where = Path(f"/proc/self/fd/{fd}").readlink()
        if where.is_relative_to(target) and where.name.startswith(("c0001", "c0003")):
            where.write_bytes(where.read_bytes()[:8] + b"\0\0\0\0" + where.read_bytes()[12:])

    arguments = ["export", str(target), "--site", str(sent.folder("learner"))]
    before = sent.fingerprint("learner")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", losing)
        refused(
            capsys,
            arguments,
            CorruptError,
            "does not give back what was written",
            "2 of",
            "c0001",
            "c0003",
            hint="another disk",
        )
    assert sent.fingerprint("learner") == before
    assert [p.name for p in target.iterdir()] == [f"{bundle.name}.partial"]
    assert forge.run(arguments) == 0
    assert [p.name for p in target.iterdir()] == [bundle.name]


@pytest.mark.parametrize("left", ["", ".partial"])  # by hand, or by an export that was killed
def test_what_somebody_else_copied_is_synced_before_it_is_read_back(sent, bundle, monkeypatch, left):
    """Else the cache would answer: advice not to keep what was not written yet drops nothing."""
    target = sent.root / "stick"
    copy = Path(shutil.copytree(bundle, target / f"{bundle.name}{left}"))
    synced, dropped = set(), set()

    def syncing(fd):
        synced.add(os.fstat(fd).st_ino)

    def advising(fd, *_):
        assert os.fstat(fd).st_ino in synced
        dropped.add(os.fstat(fd).st_ino)

    there = {p.stat().st_ino for p in copy.rglob("c*.zst")}
    folders = {p.stat().st_ino for p in (target, copy, copy / "data")}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", syncing)
        patch.setattr(os, "posix_fadvise", advising)
        assert forge.run(["export", str(target), "--site", str(sent.folder("learner"))]) == 0
    assert there <= dropped
    assert folders <= synced


def test_another_bundle_of_the_same_name_on_the_disk_is_not_overwritten(sent, bundle, capsys):
    Forge.of(sent, "learner").edit(lambda m: m["candidates"][0].update(loss=1.5))
    kept = {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()}
    arguments = ["export", str(sent.disk), "--site", str(sent.folder("learner"))]
    refused(capsys, arguments, CorruptError, "another bundle of that name", hint="delete it there")
    (bundle / "round.sig").unlink()
    told = refused(capsys, arguments, CorruptError, "had already is not the sealed bundle", "no round.sig", hint="delete")
    assert "does not give back" not in told
    assert {p: p.read_bytes() for p in bundle.rglob("*") if p.is_file()}.items() <= kept.items()


def test_an_export_writes_through_nothing_that_was_left_on_the_disk(sent, bundle):
    """Links, pipes and strangers' files where the copy goes are replaced, never written through."""
    target = sent.root / "prepared"
    partial = target / f"{bundle.name}.partial"
    (partial / "data").mkdir(parents=True)
    (target / "victim").write_text("mine")
    (partial / "manifest.json").symlink_to(target / "victim")
    os.link(target / "victim", partial / "data/c0000-p0000.safetensors.zst")
    os.mkfifo(partial / DATA)
    (partial / "data/c0009-p0000.safetensors.zst").touch()
    (partial / ".DS_Store").touch()
    assert forge.run(["export", str(target), "--site", str(sent.folder("learner"))]) == 0
    assert (target / "victim").read_text() == "mine"
    assert sent.take("provider", target / bundle.name) == 0


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="shutil.rmtree goes as deep as folders do")
def test_folders_nested_without_end_where_an_export_writes_are_refused(sent, bundle, capsys):
    place = bundle.with_name(f"{bundle.name}.partial") / "x"
    shutil.rmtree(bundle)
    try:
        with contextlib.chdir(sent.disk):
            for name in (*place.relative_to(sent.disk).parts, *["d"] * 1_500):
                os.mkdir(name)  # noqa: PTH102 - its whole path is too long for the system
                os.chdir(name)
        words = ["export", str(sent.disk), "--site", str(sent.folder("learner"))]
        refused(capsys, words, StorageError, "has folders nested too deeply", hint="remove them")
    finally:
        subprocess.run(["rm", "-r", str(place)], check=True)  # Python's own walk would not come to its end


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, Path.mkdir], ids=["file", "pipe", "folder"])
@pytest.mark.parametrize("name", ["", "data", "manifest.json", "round.sig", DATA])
def test_what_is_of_another_type_in_an_interrupted_copy_is_replaced(sent, bundle, make, name):
    """Also where the copy itself, or its folder of data, has to be; on the disk and in staging."""
    target = sent.root / "prepared"
    (turn,) = sent.state("learner").position.sealed
    for copy in (target / f"{bundle.name}.partial", sent.folder("provider") / "staging" / turn.digest):
        (copy / name).parent.mkdir(parents=True)
        make(copy / name)
    assert forge.run(["export", str(target), "--site", str(sent.folder("learner"))]) == 0
    assert sent.take("provider", target / bundle.name) == 0


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo], ids=["file", "pipe"])
def test_what_has_a_bundles_name_on_the_disk_and_is_no_folder_is_in_the_way(sent, bundle, capsys, make):
    target = sent.root / "prepared"
    target.mkdir()
    make(target / bundle.name)
    arguments = ["export", str(target), "--site", str(sent.folder("learner"))]
    refused(capsys, arguments, ForbiddenFileError, "is in the way: it is no folder", hint="delete it")
    assert [p.name for p in target.iterdir()] == [bundle.name]


def test_an_export_follows_no_link_to_a_folder(sent, bundle, capsys):
    target = sent.root / "prepared"
    target.mkdir()
    (target / f"{bundle.name}.partial").symlink_to(sent.folder("provider"))
    arguments = ["export", str(target), "--site", str(sent.folder("learner"))]
    refused(capsys, arguments, ForbiddenFileError, "symbolic link", hint="another disk")
