"""A site's keys: the passphrase, file modes, rotation."""

import contextlib
import os
import pty
import stat
import sys

import pytest

from alx.bundle import keys
from alx.cli.main import run
from alx.errors import CorruptError, TrustError, UsageError
from tests.forge import refused

PASSPHRASE = "correct horse battery staple"  # noqa: S105 - opens nothing but this test's keys


@contextlib.contextmanager
def descriptor(*lines):
    """A file descriptor that gives these lines."""
    read, write = os.pipe()
    os.write(write, "".join(f"{line}\n" for line in lines).encode())
    os.close(write)
    try:
        yield str(read)
    finally:
        os.close(read)


def set_passphrase(folder, *lines, more=()):
    with descriptor(*lines) as fd:
        options = ["--new-passphrase-fd", fd] if len(lines) == 1 else ["--passphrase-fd", fd, "--new-passphrase-fd", fd]
        assert run(["key", "passphrase", "--site", str(folder), *options, *more]) == 0


@pytest.fixture
def locked_world(stage):
    """Paired, and the learner's key has a passphrase."""
    world = stage("paired")
    set_passphrase(world.folder("learner"), PASSPHRASE)
    return world


def test_a_key_with_a_passphrase_is_encrypted_and_signs_only_with_it(locked_world, capsys):
    folder = locked_world.folder("learner")
    assert b"ENCRYPTED" in (folder / "key.pem").read_bytes()
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    train = ["train-local", "--site", str(folder)]
    refused(capsys, train, UsageError, "passphrase", "no terminal", hint="--passphrase-fd")
    assert not (folder / "work").exists()  # before any training
    with descriptor("something else", "something else") as fd:
        refused(capsys, [*train, "--passphrase-fd", fd], UsageError, "passphrase", "is wrong")
    with descriptor() as fd:
        refused(capsys, [*train, "--passphrase-fd", fd], UsageError, "is empty")
    with descriptor("x" * 4000) as fd:
        refused(capsys, [*train, "--passphrase-fd", fd], UsageError, "more than 1023 bytes")
    refused(capsys, [*train, "--passphrase-fd", "987"], UsageError, "987", "Bad file descriptor")
    with descriptor(PASSPHRASE) as fd:
        assert run([*train, "--passphrase-fd", fd]) == 0
    assert run(["export", str(locked_world.disk), "--site", str(folder)]) == 0  # what signs nothing asks for nothing
    assert locked_world.take("provider", locked_world.bundle("learner")) == 0


def test_a_passphrase_is_changed_and_removed(locked_world, capsys):
    folder = locked_world.folder("learner")
    set_passphrase(folder, PASSPHRASE, "tr0ub4dor")
    assert keys.load_private(folder / "key.pem", lambda: b"tr0ub4dor")
    with descriptor(PASSPHRASE, PASSPHRASE) as fd:
        command = ["key", "passphrase", "--remove", "--passphrase-fd", fd, "--site", str(folder)]
        refused(capsys, command, UsageError, "is wrong")
    with descriptor("tr0ub4dor") as fd:
        assert run(["key", "passphrase", "--remove", "--passphrase-fd", fd, "--site", str(folder)]) == 0
    public = keys.PublicKey(keys.load_private(folder / "key.pem").public_key())
    assert public == locked_world.site("learner").public_key


def test_init_makes_an_encrypted_key_from_a_descriptor_and_leaves_nothing_without_one(stage, tmp_path, capsys):
    root = stage("paired").root
    command = ["init", str(tmp_path / "new"), "--role", "learner", "--plan", str(root / "plan.toml")]
    command += ["--data", f"npz:{root}/learner.npz"]
    refused(capsys, [*command, "--passphrase"], UsageError, "no terminal")
    assert not (tmp_path / "new").exists()
    with descriptor(PASSPHRASE) as fd:
        assert run([*command, "--passphrase-fd", fd]) == 0
    assert keys.load_private(tmp_path / "new" / "key.pem", PASSPHRASE.encode)


def test_at_a_terminal_a_passphrase_is_asked_for_and_not_shown(locked_world):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(  # noqa: S606 - the product's own command, at a terminal
            sys.executable, [sys.executable, "-m", "alx", "train-local", "--site", str(locked_world.folder("learner"))]
        )
    told = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal whose process ended with EIO
        while data := os.read(terminal, 1000):
            if b"passphrase" not in told and b"passphrase" in told + data:
                os.write(terminal, f"{PASSPHRASE}\n".encode())
            told += data
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, told
    os.close(terminal)
    assert b"sealed" in told
    assert PASSPHRASE.encode() not in told


def test_whatever_the_umask_others_cannot_write_to_a_site_and_cannot_read_a_new_one(stage, capsys):
    world = stage("paired")
    before = os.umask(0)
    try:
        for role in ("learner", "provider"):
            command = ["init", str(world.root / f"new-{role}"), "--role", role, "--plan", str(world.root / "plan.toml")]
            assert run([*command, "--data", f"npz:{world.root}/{role}.npz"]) == 0
        assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
        assert run(["export", str(world.disk), "--site", str(world.folder("learner"))]) == 0
        assert world.take("provider", world.bundle("learner")) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((world.root / "new-learner").stat().st_mode) == 0o700
    for folder in (world.root / "new-learner", world.folder("learner"), world.folder("provider")):
        for path in (folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0, path
        assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    folder = world.folder("provider")
    folder.chmod(0o770)
    status = ["train-local", "--site", str(folder)]
    refused(capsys, status, TrustError, "others may write", "0770", hint=f"chmod go-w {folder}")
    folder.chmod(0o750)
    assert run(status) == 0


def test_a_request_for_bad_files_is_signed_with_the_passphrase(stage, capsys):
    world = stage("sent")
    folder, bundle, ask = world.folder("provider"), world.bundle("learner"), world.disk / "ask.json"
    set_passphrase(folder, PASSPHRASE)
    bad = next(bundle.glob("data/*"))
    good = bad.read_bytes()
    bad.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    command = ["import-and-select", str(bundle), "--request", str(ask), "--site", str(folder)]
    refused(capsys, command, CorruptError, bad.name, hint="--passphrase-fd")
    with descriptor(PASSPHRASE) as fd:
        assert run([*command, "--passphrase-fd", fd]) == CorruptError.exit_code
    assert ask.is_file()
    bad.write_bytes(good)
    assert world.take("provider", bundle) == 0  # signs nothing, asks for nothing
