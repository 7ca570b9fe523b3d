"""Where a plan names officers, a bundle leaves a house and enters another only with as many approvals as it says."""

import io
import json
import shutil

import pytest

from alx.bundle import approval, keys
from alx.cli.main import run
from alx.errors import ConfigError, ForbiddenFileError, LimitError, MalformedError, TrustError, UsageError
from alx.plan import parse
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import refused, refused_import

OFFICERS = [keys.generate() for _ in range(3)]
STRANGER = keys.generate()


def fingerprint(key):
    return keys.PublicKey(key.public_key()).fingerprint


NAMED = PLAN + f"[officers.learner]\nthreshold = 2\nkeys = {json.dumps([fingerprint(k) for k in OFFICERS])}\n"


@pytest.fixture(scope="session")
def _sealed(tmp_path_factory):
    """The learner's first turn is sealed, and nobody has approved it."""
    world = pair_world(make_world(tmp_path_factory.mktemp("officers") / "w", NAMED))
    assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
    return world.root


@pytest.fixture
def sealed(_sealed, tmp_path):
    shutil.copytree(_sealed, tmp_path / "w")
    return World(tmp_path / "w")


def outbox(world):
    (bundle,) = world.site("learner").outbox.glob("alx-*-learner")
    return bundle


def approve(world, *keys_):
    for i, key in enumerate(keys_):
        path = world.root / f"officer{i}.pem"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_bytes(keys.private_pem(key))
        words = ["approve", str(outbox(world)), "--key", str(path), "--from", str(world.folder("learner") / "public.pem")]
        assert run([*words, "--yes"]) == 0


def export(world):
    return ["export", str(world.disk), "--site", str(world.folder("learner"))]


@pytest.fixture
def carried(sealed):
    """Two of three have approved; it lies on the disk."""
    approve(sealed, *OFFICERS[:2])
    assert run(export(sealed)) == 0
    return sealed


def beside(world):
    return approval.folder(world.bundle("learner"), world.bundle("learner").name)


def test_a_bundle_leaves_with_two_of_three_approvals_and_is_taken_in(sealed, capsys):
    told = refused(capsys, export(sealed), TrustError, "0 of 2 approvals are there", "of 3 officers", hint="alx approve")
    assert "learner.approvals" in told
    approve(sealed, OFFICERS[0], OFFICERS[0])  # the same one twice is one
    refused(capsys, export(sealed), TrustError, "1 of 2 approvals are there")
    assert not list(sealed.disk.glob("alx-*"))
    approve(sealed, OFFICERS[2])
    assert run(export(sealed)) == 0
    assert {p.stem for p in beside(sealed).iterdir()} == {fingerprint(OFFICERS[0]), fingerprint(OFFICERS[2])}
    assert sealed.take("provider", sealed.bundle("learner")) == 0
    assert run(["audit", str(sealed.folder("learner"))]) == 0


def test_the_provider_who_has_no_officers_needs_nobody(carried):
    assert carried.take("provider", carried.bundle("learner")) == 0
    assert carried.take("learner", carried.turn("provider")) == 0


def test_an_officer_sees_what_is_signed_and_signs_nothing_unless_he_agrees(sealed, capsys, monkeypatch):
    path = sealed.root / "officer.pem"
    assert run(["key", "officer", str(path)]) == 0
    assert path.stat().st_mode & 0o077 == 0
    assert fingerprint(keys.load_private(path)) in capsys.readouterr().out
    words = ["approve", str(outbox(sealed)), "--key", str(path), "--from", str(sealed.folder("learner") / "public.pem")]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run(words) == TrustError.exit_code
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(words) == UsageError.exit_code  # no terminal to ask at
    shown = capsys.readouterr()
    assert sealed.state("learner").position.sealed[-1].digest in shown.out
    assert "--yes answers" in shown.err
    assert not approval.folder(outbox(sealed), outbox(sealed).name).exists()
    refused(capsys, [*words[:-1], str(sealed.folder("provider") / "public.pem"), "--yes"], TrustError, hint="with --from")


def test_too_few_that_came_along_are_refused(carried, capsys):
    next(beside(carried).iterdir()).unlink()
    refused_import(capsys, carried, "provider", carried.bundle("learner"), TrustError, "1 of 2 approvals are there")
    shutil.rmtree(beside(carried))
    refused_import(
        capsys, carried, "provider", carried.bundle("learner"), TrustError, "0 of 2 approvals", hint="ask the peer"
    )


def _twice(folder, digest):
    made = approval.make(digest, OFFICERS[0])
    (folder / f"{fingerprint(OFFICERS[1])}.json").write_bytes(made.data)


def _another_bundle(folder, _digest):
    made = approval.make("0" * 64, OFFICERS[1])
    (folder / made.name).write_bytes(made.data)


def _stranger(folder, digest):
    made = approval.make(digest, STRANGER)
    (folder / made.name).write_bytes(made.data)


def _changed(folder, digest):
    """An officer's approval of another bundle, with this one's digest put in."""
    other, right = approval.make("0" * 64, OFFICERS[1]), approval.make(digest, OFFICERS[1])
    document, payload = json.loads(other.data), json.loads(right.data)["payload"]
    (folder / right.name).write_bytes(json.dumps(document | {"payload": payload}, indent=1).encode())


def _blank(folder, digest):
    made = approval.make(digest, OFFICERS[1])
    (folder / made.name).write_bytes(made.data + b"\n")


def _large(folder, _digest):
    (folder / f"{fingerprint(OFFICERS[1])}.json").write_bytes(b" " * 5000)


def _many(folder, _digest):
    for i in range(17):
        (folder / f"{i}.json").touch()


def _link(folder, _digest):
    path = folder / f"{fingerprint(OFFICERS[1])}.json"
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("harm", "error", "words"),
    [
        (_twice, MalformedError, "whose file has another name: each counts once"),
        (_another_bundle, TrustError, "approves a bundle of digest 0000000000000000"),
        (_stranger, TrustError, "which is no officer's of the plan"),
        (_changed, TrustError, "the approval does not verify with the key"),
        (_blank, MalformedError, "the approval is not written as the format says"),
        (_large, LimitError, "may have 4096"),
        (_many, LimitError, "more than 16 files"),
        (_link, ForbiddenFileError, "is a symbolic link"),
    ],
)
def test_an_approval_that_is_none_is_refused_and_changes_nothing(carried, capsys, harm, error, words):
    path = carried.bundle("learner")
    harm(beside(carried), carried.state("learner").position.sealed[-1].digest)
    refused_import(capsys, carried, "provider", path, error, words)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f'threshold = 2\nkeys = ["{"0" * 64}"]', "the threshold is 2, and there are 1 officers"),
        (f'threshold = 2\nkeys = ["{"0" * 64}", "{"0" * 64}"]', "an officer's key is named twice"),
    ],
)
def test_a_threshold_that_nobody_can_meet_is_no_plan(said, words):
    with pytest.raises(ConfigError, match=words):
        parse(f"{PLAN}[officers.learner]\n{said}\n".encode())


def test_approvals_go_to_each_of_several_disks_and_into_a_backup(sealed):
    approve(sealed, *OFFICERS[1:])
    site, disks = str(sealed.folder("learner")), [sealed.root / "a", sealed.root / "b"]
    for disk in disks:
        disk.mkdir()
    assert run(["backup", str(sealed.root / "backup"), "--site", site]) == 0
    assert run(["restore", str(sealed.root / "backup"), str(sealed.root / "again")]) == 0
    (kept,) = (sealed.root / "again" / "outbox").glob("*.approvals")
    assert {p.stem for p in kept.iterdir()} == {fingerprint(k) for k in OFFICERS[1:]}
    assert run(["export", *map(str, disks), "--site", site]) == 0
    shares = [next(disk.glob("*-of-2")) for disk in disks]
    assert all(len(list(disk.glob("*.approvals/*.json"))) == 2 for disk in disks)
    assert run(["import-and-select", *map(str, shares), "--site", str(sealed.folder("provider"))]) == 0
