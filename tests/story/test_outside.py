"""What only a process can show: nothing hangs, nothing is followed, and disks are full or read-only for real."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from alx.errors import AlxError, ForbiddenFileError, LimitError, SpaceError, StorageError
from tests import attacks
from tests.conftest import World
from tests.forge import Forge, well_told
from tests.forked import alx_fork

ROOT = os.geteuid() == 0


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.fixture
def bundle(sent) -> Path:
    return sent.bundle("learner")


def refused(error: type[AlxError], *arguments: str | Path) -> str:
    """Run `alx` in a process; what it told."""
    done = alx_fork(*arguments)
    assert (done.code, done.out) == (error.exit_code, ""), done.err
    well_told(done.err)
    return done.err


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A disk of 24 MiB: a small one, that a test can fill."""
    where = tmp_path / "stick"
    where.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", where], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("no permission to mount a tmpfs; RLIMIT_FSIZE stands for a full disk in test_refused_files.py")
    yield where
    subprocess.run(["umount", where], check=True)


def mode(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@pytest.mark.parametrize("attack", [a for a in attacks.every() if a.fault in (16, 18)], ids=lambda a: a.name)
def test_an_audit_ends_at_once_on(sent, attack):
    path = attack.path(sent)
    told = refused(attack.error, "audit", path, "--key", sent.folder("learner") / "public.pem")
    well_told(told, *attack.words)


@pytest.mark.parametrize("name", ["round.sig", "manifest.json"])
def test_an_import_waits_for_no_pipe(sent, bundle, name):
    before = sent.fingerprint("provider")
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    assert "is a pipe" in refused(ForbiddenFileError, "import-and-select", bundle, "--site", sent.folder("provider"))
    assert sent.fingerprint("provider") == before


@pytest.mark.skipif(not ROOT, reason="only root makes devices")
@pytest.mark.parametrize("name", ["round.sig", "manifest.json"])
def test_a_device_is_not_opened(sent, bundle, name):
    """/dev/zero by another name: it would never end."""
    (bundle / name).unlink()
    os.mknod(bundle / name, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
    key = sent.folder("learner") / "public.pem"
    assert "is a device" in refused(ForbiddenFileError, "audit", bundle, "--key", key)


@pytest.mark.parametrize("what", ["pipe", "device", "huge"])
def test_a_key_or_a_peers_file_from_a_disk_hangs_nothing(sent, tmp_path, what):
    """The other two files that come by disk: --key and what is paired."""
    path = tmp_path / "peer.json"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 10 << 40)
    bundle = sent.bundle("learner")
    for arguments in (["audit", bundle, "--key", path], ["pair", path, "--yes", "--site", sent.folder("provider")]):
        done = alx_fork(*arguments)
        assert done.code in (2, 13, LimitError.exit_code, ForbiddenFileError.exit_code, 21), done.err
        well_told(done.err)


def test_a_disk_without_room_is_refused_before_anything_is_written(sent, bundle, disk):
    (disk / "other").write_bytes(bytes((23 << 20) + (1 << 19)))
    told = refused(SpaceError, "export", disk, "--site", sent.folder("learner"))
    assert "free, expected at least" in told
    assert "for the files, and 1.0 MB to spare" in told
    assert [p.name for p in disk.rglob("*")] == ["other"]
    (disk / "other").unlink()
    assert alx_fork("export", disk, "--site", sent.folder("learner")).code == 0
    assert sent.take("provider", disk / bundle.name) == 0


def test_a_disk_that_another_program_fills_meanwhile_stops_the_export(sent, bundle, disk):
    """The room is there when it is looked for, and gone when it is used: inodes, which nobody counts."""
    mode(disk, "nr_inodes=6")
    before = sent.fingerprint("learner")
    assert "no space left" in refused(SpaceError, "export", disk, "--site", sent.folder("learner"))
    assert sent.fingerprint("learner") == before
    assert not (disk / bundle.name).exists()
    mode(disk, "nr_inodes=100")
    assert alx_fork("export", disk, "--site", sent.folder("learner")).code == 0
    assert sent.take("provider", disk / bundle.name) == 0


def test_a_read_only_disk_can_be_imported_from_and_not_exported_to(sent, bundle, disk):
    shutil.copytree(bundle, disk / bundle.name)
    empty = disk / "empty"
    empty.mkdir()
    mode(disk, "ro")
    before = sent.fingerprint("learner")
    assert "Read-only file system" in refused(StorageError, "export", empty, "--site", sent.folder("learner"))
    assert sent.fingerprint("learner") == before
    assert sent.take("provider", disk / bundle.name) == 0
    mode(disk, "rw")


def test_a_site_on_a_full_disk_keeps_its_old_state(sent, bundle, disk):
    shutil.copytree(sent.folder("provider"), disk / "provider")
    shutil.copy(sent.root / "provider.npz", disk)
    (disk / "other").write_bytes(bytes(23 << 20))
    ledger = (disk / "provider" / "ledger.sqlite").read_bytes()
    refused(SpaceError, "import-and-select", bundle, "--site", disk / "provider")
    assert (disk / "provider" / "ledger.sqlite").read_bytes() == ledger
    assert not list((disk / "provider" / "inbox").iterdir())
    (disk / "other").unlink()
    done = alx_fork("import-and-select", bundle, "--site", disk / "provider")
    assert done.code == 0, done.err


def test_a_site_on_a_read_only_disk_changes_nothing_and_can_be_audited(sent, bundle, disk):
    shutil.copytree(sent.folder("provider"), disk / "provider")
    mode(disk, "ro")
    refused(StorageError, "import-and-select", bundle, "--site", disk / "provider")
    assert alx_fork("audit", disk / "provider").code == 0
    mode(disk, "rw")


def test_a_bundle_of_the_forge_is_good_before_it_is_harmed(sent):
    """Else the processes above could refuse it for another reason."""
    Forge.of(sent, "learner").sign()
    assert alx_fork("audit", sent.bundle("learner"), "--key", sent.folder("learner") / "public.pem").code == 0


@pytest.mark.parametrize("command", ["identity", "key rotate"])
def test_a_pipe_where_a_file_is_to_be_written_hangs_nothing(stage, command):
    world = stage("paired")
    os.mkfifo(world.disk / "out.json")
    done = alx_fork(*command.split(), world.disk / "out.json", "--site", world.folder("learner"))
    assert done.code in (2, 20)
    assert "Traceback" not in done.err
