"""A site's keys: the passphrase, file modes, rotation."""

import contextlib
import os
import pty
import shutil
import stat
import sys

import pytest

from alx.bundle import keys
from alx.cli.main import run
from alx.errors import CorruptError, TrustError, UsageError
from tests.conftest import PLAN, make_world, pair_world
from tests.forge import refused
from tests.killed import killed

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
    assert public == locked_world.state("learner").public_key


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


def modes(root):
    kinds = {True: "folder", False: "file"}
    return {str(p): f"{stat.S_IMODE(p.lstat().st_mode):04o} {kinds[p.is_dir()]}" for p in (root, *root.rglob("*"))}


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


PRIVATE, SHARED = {"0700 folder", "0600 file"}, {"0755 folder", "0644 file"}


@pytest.mark.usefixtures("no_umask")
@pytest.mark.parametrize("plan", [PLAN, PLAN.replace("seed =", "encrypt = true\nseed =")], ids=["plain", "encrypted"])
def test_whatever_the_umask_all_of_a_site_is_its_owners_alone_and_what_travels_is_not(plan, tmp_path):
    world = pair_world(make_world(tmp_path / "world", plan))
    learner, provider = world.folder("learner"), world.folder("provider")
    assert world.take("provider", world.turn("learner")) == 0
    assert world.take("learner", world.turn("provider")) == 0
    assert run(["key", "rotate", str(world.disk / "rotation.json"), "--site", str(learner)]) == 0
    assert run(["key", "accept", str(world.disk / "rotation.json"), "--yes", "--site", str(provider)]) == 0
    bundle = world.turn("learner")
    bad = next(bundle.glob("data/*"))
    bad.write_bytes(b"")
    ask = world.disk / "ask.json"
    command = ["import-and-select", str(bundle), "--request", str(ask), "--site", str(provider)]
    assert run(command) == CorruptError.exit_code
    assert next(provider.glob("staging/*/data/*"))
    assert run(["export", str(world.disk), "--only", str(ask), "--site", str(learner)]) == 0
    assert run(["export", str(world.disk), "--parity", "50", "--site", str(learner)]) == CorruptError.exit_code
    shutil.rmtree(bundle)
    assert run(["export", str(world.disk), "--parity", "50", "--site", str(learner)]) == 0
    assert run(["best", str(world.disk / "model.safetensors"), "--site", str(learner)]) == 0
    (provider / "ledger.sqlite").unlink()
    assert run(["reset-ledger", "--reason", "test", "--yes", "--site", str(provider)]) == 0
    assert set(modes(learner).values()) == set(modes(provider).values()) == PRIVATE
    world.disk.chmod(0o755)
    assert set(modes(world.disk).values()) == SHARED
    assert run(["backup", str(world.root / "backup"), "--site", str(learner)]) == 0
    assert set(modes(world.root / "backup").values()) == PRIVATE


@pytest.mark.usefixtures("no_umask")
def test_a_killed_turn_leaves_nothing_that_others_may_read(stage, tmp_path):
    for what, world in killed(stage("paired"), tmp_path / "work", "train-local", "--site", "{}/learner", every=31):
        assert {path: mode for path, mode in modes(world.folder("learner")).items() if mode not in PRIVATE} == {}, what


COMMANDS = ("train-local", "status", "check", "best OUT", "audit SITE", "audit BUNDLE", "backup OUT")


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_works_on_a_site_that_others_may_write_to(words, stage, capsys, monkeypatch):
    world = stage("sent")
    folder = world.folder("provider")
    monkeypatch.chdir(folder)
    places = {"OUT": world.root / "out", "SITE": folder, "BUNDLE": world.bundle("learner")}
    command = [str(places.get(word, word)) for word in words.split()]
    for mode in (0o770, 0o777, 0o702):
        folder.chmod(mode)
        refused(capsys, command, TrustError, "others may write", f"{mode:04o}", hint=f"chmod go-w {folder}")
    assert not places["OUT"].exists()
    folder.chmod(0o750)
    if words in ("status", "audit SITE", "audit BUNDLE"):
        assert run(command) == 0


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
