"""A damaged disk is not the end: copies are merged, a request brings what is missing, parity does without a second trip."""

import ctypes
import functools
import hashlib
import itertools
import json
import mmap
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zfec

from alx import audit
from alx.bundle import carried, groups, keys, parity, read, request, signature
from alx.bundle.keys import PublicKey
from alx.bundle.write import signed_file
from alx.errors import (
    AlxError,
    CorruptError,
    ForbiddenFileError,
    IncompleteError,
    LimitError,
    MalformedError,
    PeerError,
    RollbackError,
    StaleError,
    TrustError,
    TurnError,
    UsageError,
)
from tests import forge
from tests.conftest import PLAN, World, make_world, pair_world
from tests.forge import command, refused_import
from tests.killed import history, killed, leftovers

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


def chance(seed: int) -> random.Random:
    """The same numbers every time."""
    return random.Random(seed)  # noqa: S311 - no secret


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
            capsys, sent, "provider", other, CorruptError, "2 of the bundle's files are bad", hint="--request"
        )
        assert C[2] in told
        imported(sent, bundle)


@pytest.mark.parametrize("first", [0, 1])
def test_the_manifest_may_come_from_staging_alone(sent, bundle, other, capsys, first):
    """In either order: the copy with the bad manifest first, or last."""
    (bundle / MANIFEST).unlink()
    (other / C[3]).unlink()
    there = [bundle, other][:: 1 if first == 0 else -1]
    refused_import(capsys, sent, "provider", there[0], CorruptError, "1 of the bundle's files", hint="--request")
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
    words = ("1 of the bundle's files is bad", f"'{C[0]}' differs from what was signed in copy 1, is missing in copy 2")
    also_refused(capsys, sent, CorruptError, *words, hint="--request", path=bundle, also=[other, other, bundle])
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
    also_refused(capsys, world, CorruptError, "1 of the bundle's files is bad", C[2], path=new, also=[old])


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
            told = f"{len(bad)} of the bundle's files "
            also_refused(capsys, world, CorruptError, told, *bad, path=copies[0], also=copies[1:])
        else:
            imported(world, copies[0], "--also", copies[1])
        shutil.rmtree(world.root)


# --- requests


def key(world: World, role: str):
    return keys.load_private(world.folder(role) / "key.pem")


def export(world: World, *arguments: Path | str, role: str = "learner") -> list[str]:
    return ["export", str(world.disk), "--site", str(world.folder(role)), *map(str, arguments)]


@pytest.fixture
def ask(sent) -> Path:
    return sent.disk / "missing.json"


def digest(world: World, role: str = "learner", at: int = -1) -> str:
    return world.state(role).position.sealed[at].digest


def requested(world: World, bundle: Path, ask: Path) -> Path:
    """The import is refused with a request, and the sender puts what it names on the disk: the partial copy."""
    before = world.fingerprint("provider")
    assert forge.run([*command(world, "provider", bundle), "--request", str(ask)]) == CorruptError.exit_code
    assert world.fingerprint("provider") == before
    assert forge.run(export(world, "--only", ask)) == 0
    (part,) = world.disk.glob("*.repair-????????")
    return part


PATTERNS = [c for n in (1, 2, 5) for c in itertools.combinations([MANIFEST, *C], n)]


@pytest.mark.parametrize("bad", PATTERNS, ids=lambda p: "+".join(n[-22:-17] for n in p))
def test_a_request_brings_what_is_missing_and_nothing_else(sent, bundle, ask, bad):
    for name in bad:
        harm(bundle / name)
    part = requested(sent, bundle, ask)
    assert {p.relative_to(part).as_posix() for p in part.rglob("*") if p.is_file()} == {"round.sig", *bad}
    shutil.rmtree(bundle)
    imported(sent, part)


def test_a_request_is_told_of_in_the_error_the_ledger_and_the_audit(sent, bundle, ask, alx):
    harm(bundle / C[1])
    site = ("--site", sent.folder("provider"))
    for _ in range(2):  # a request of one's own is written over
        told = alx("import-and-select", bundle, "--request", ask, *site)
        assert (
            told.err.splitlines()[1]
            == f"hint: carry '{ask}' to the peer: alx export DISK --only missing.json brings these files"
        )
    made = ask.read_bytes()
    for words in (["--only", ask], ["--only", ask, "--json"]):
        told = alx("export", sent.disk, *words, "--site", sent.folder("learner"))
        assert told.code == 0
    assert json.loads(told.out)["files"] == 2
    assert json.loads(told.out)["again"] is True
    body = json.loads(sent.state("learner").entries[-1].line.body)
    said = request.verify(made, sent.state("learner").peer_key)
    assert said.files == (C[1],)
    assert body == {
        "round": 1, "bundle": bundle.name, "digest": digest(sent), "request": said.digest, "files": 1, "names": [C[1]]
    }  # fmt: skip
    told = alx("audit", sent.folder("learner")).out
    assert f"round 1, 1 of its files, as the peer asked (request {said.digest[:16]}…), read back from the disk" in told
    imported(sent, sent.disk / f"{bundle.name}.repair-{said.digest[:8]}", "--request", ask)
    assert ask.read_bytes() == made


def test_a_partial_copy_is_no_bundle_by_itself(sent, bundle, ask, capsys):
    harm(bundle / C[0])
    part = requested(sent, bundle, ask)
    shutil.rmtree(sent.folder("provider") / "staging")
    refused_import(capsys, sent, "provider", part, CorruptError, "4 of the bundle's files are bad", f"'{C[1]}' is missing")
    shutil.rmtree(sent.folder("provider") / "staging")
    imported(sent, bundle, "--also", part)


def test_only_bad_files_of_the_bundle_are_asked_for(sent, bundle, other, ask, capsys):
    """An unsigned file is for the receiver to delete; without a verified signature nobody knows what to ask for."""
    (bundle / "data/x").touch()
    arguments = [*command(sent, "provider", bundle), "--request", str(ask)]
    forge.refused(capsys, arguments, CorruptError, "'data/x' is not signed")
    assert not ask.exists()
    shutil.rmtree(sent.folder("provider") / "staging")
    harm(bundle / C[0])
    forge.refused(capsys, arguments, CorruptError, "2 of the", hint="--only missing.json")
    assert request.verify(ask.read_bytes(), sent.state("learner").peer_key).files == (C[0],)
    ask.unlink()
    harm(other / "round.sig")
    arguments = [*command(sent, "provider", other), "--request", str(ask)]
    with pytest.raises(AlxError):
        forge.cli.main(args=arguments, standalone_mode=False)
    assert not ask.exists()


def test_a_request_writes_over_nothing_of_others(sent, bundle, capsys):
    harm(bundle / C[0])
    theirs = sent.disk / "learner.json"
    link = sent.disk / "link"
    link.symlink_to(theirs)
    pipe = sent.disk / "pipe"
    os.mkfifo(pipe)
    kept = theirs.read_bytes()
    for path in (theirs, link, pipe):
        arguments = [*command(sent, "provider", bundle), "--request", str(path)]
        forge.refused(capsys, arguments, UsageError, "exists, and is no request of this site's", hint="another file")
    forge.refused(capsys, [*arguments[:-1], str(sent.disk)], UsageError, "is a folder")
    assert theirs.read_bytes() == kept


def envelope(payload: bytes, signer, **changes) -> bytes:
    """A request over any payload, written without alx."""
    name = PublicKey(signer.public_key()).fingerprint
    made = forge.envelope(payload, signer, changes.pop("payload_type", request.PAYLOAD_TYPE))["dsseEnvelope"]
    made["signatures"] = [{"keyid": name, "sig": made["signatures"][0]["sig"]}]
    return json.dumps(made | changes, indent=1).encode()


def payload(world: World, **changes) -> bytes:
    said = {"format": "alx-request", "version": 1, "bundle": digest(world), "files": [C[0]]}
    return forge.form(said | changes)


HOSTILE = {
    "another digest": (lambda w: payload(w, bundle="ab" * 32), StaleError, "never sealed"),
    "a name that the bundle does not have": (
        lambda w: payload(w, files=["data/c0009-p0000.safetensors.zst"]), MalformedError, "which the bundle does not have"
    ),
    "a name that no bundle has": (lambda w: payload(w, files=["data/../../key.pem"]), ForbiddenFileError, "no bundle's"),
    "a path from the root": (lambda w: payload(w, files=["/etc/passwd"]), ForbiddenFileError, "'/etc/passwd' is asked for"),
    "a terminal's escape": (lambda w: payload(w, files=["a\x1b[2J"]), ForbiddenFileError, r"a\x1b"),
    "the signature": (lambda w: payload(w, files=["round.sig"]), ForbiddenFileError, "'round.sig'"),
    "50,000 names": (
        lambda w: payload(w, files=[f"{i}" for i in range(50_000)]), LimitError, "values, and may have 10005"
    ),
    "names of a megabyte": (lambda w: payload(w, files=["a" * 2**20]), LimitError, "bytes, and may have"),
    "no names": (lambda w: payload(w, files=[]), MalformedError, "no request"),
    "a name twice": (lambda w: payload(w, files=[C[0], C[0]]), MalformedError, "there twice"),
    "names out of order": (lambda w: payload(w, files=[C[1], C[0]]), MalformedError, "not in their order"),
    "another version": (lambda w: payload(w, version=2), MalformedError, "no request"),
    "an unknown field": (lambda w: payload(w, more=1), MalformedError, "no request"),
    "a key twice": (lambda w: payload(w)[:-1] + b',"version":1}', MalformedError, "twice"),
    "no JSON": (lambda _: b"x", MalformedError, "not JSON"),
    "deep JSON": (lambda _: b"[" * 9_000 + b"]" * 9_000, MalformedError, "nested too deeply"),
}  # fmt: skip


def sender_refuses(capsys, world, ask, error, *words, hint=None):
    """The export is refused and leaves ledger, outbox and disk as they were."""
    before = {p: p.read_bytes() for p in world.root.rglob("*") if p.is_file() and "events" not in p.name}
    forge.refused(capsys, export(world, "--only", ask), error, *words, hint=hint)
    assert {p: p.read_bytes() for p in world.root.rglob("*") if p.is_file() and "events" not in p.name} == before


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_refused_with(sent, ask, capsys, name):
    make, error, words = HOSTILE[name]
    ask.write_bytes(envelope(make(sent), key(sent, "provider")))
    sender_refuses(capsys, sent, ask, error, words)


FORGED = {
    "a strange key": (lambda w: envelope(payload(w), keys.generate()), TrustError, "signed with the key"),
    "the sender's own key": (lambda w: envelope(payload(w), key(w, "learner")), TrustError, "signed with the key"),
    "the peer's name and a strange key": (
        lambda w: envelope(payload(w), made := keys.generate()).replace(
            *(PublicKey(k.public_key()).fingerprint.encode() for k in (made, key(w, "provider")))
        ), TrustError, "does not verify",
    ),
    "a type for bundles": (
        lambda w: envelope(payload(w), key(w, "provider"), payload_type=forge.PAYLOAD_TYPE), MalformedError, "not a request"
    ),
    "a bundle's statement": (
        lambda w: envelope(payload(w), key(w, "provider"), payload_type=forge.PAYLOAD_TYPE).replace(
            forge.PAYLOAD_TYPE.encode(), request.PAYLOAD_TYPE.encode()
        ), TrustError, "does not verify",
    ),
    "no signature": (lambda w: envelope(payload(w), key(w, "provider"), signatures=[]), MalformedError, "not a request"),
    "other spaces": (lambda w: envelope(payload(w), key(w, "provider")) + b"\n", MalformedError, "one item a line"),
    "an unknown field": (lambda w: envelope(payload(w), key(w, "provider"), x=1), MalformedError, "not a request"),
    "a bomb": (lambda _: b"[" + b"0," * 2**18 + b"0]", LimitError, "values"),
    "two megabytes": (lambda _: b" " * 2**21, LimitError, "may have 1048576"),
    "an identity file": (lambda w: (w.disk / "provider.json").read_bytes(), LimitError, "values"),
    "a bundle's signature": (lambda w: (w.bundle("learner") / "round.sig").read_bytes(), MalformedError, "not a request"),
    "nothing": (lambda _: b"", MalformedError, "not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_request_is_refused_that_is(sent, ask, capsys, name):
    make, error, words = FORGED[name]
    ask.write_bytes(make(sent))
    sender_refuses(capsys, sent, ask, error, words)


def test_every_byte_of_a_request_counts(sent, bundle, ask):
    harm(bundle / C[0])
    forge.run([*command(sent, "provider", bundle), "--request", str(ask)])
    data, peer = ask.read_bytes(), sent.state("learner").peer_key
    assert request.verify(data, peer).files == (C[0],)
    for at in range(len(data)):
        with pytest.raises((TrustError, MalformedError)):
            request.verify(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], peer)
        with pytest.raises((TrustError, MalformedError)):
            request.verify(data[:at], peer)


def test_a_request_is_no_link_pipe_or_folder(sent, ask, capsys):
    (sent.disk / "real").write_bytes(envelope(payload(sent), key(sent, "provider")))
    sender_refuses(capsys, sent, ask, UsageError, "there is no file", hint="is the disk there")
    ask.symlink_to("real")
    sender_refuses(capsys, sent, ask, ForbiddenFileError, "symbolic link")
    ask.unlink()
    os.mkfifo(ask)
    sender_refuses(capsys, sent, ask, ForbiddenFileError, "is a pipe")
    sender_refuses(capsys, sent, sent.disk, ForbiddenFileError, "is a folder")
    ask.unlink()
    os.link(sent.disk / "real", ask)
    sender_refuses(capsys, sent, ask, ForbiddenFileError, "hard link")


def test_an_old_request_is_refused_and_one_for_an_answered_turn_too(stage, capsys):
    world = stage("second")
    ask = world.disk / "old.json"
    ask.write_bytes(envelope(payload(world, bundle=digest(world, at=0)), key(world, "provider")))
    sender_refuses(capsys, world, ask, RollbackError, "round 1, which the peer has answered", hint="old request")
    world = stage("answered")
    ask = world.disk / "old.json"
    ask.write_bytes(envelope(payload(world), key(world, "provider")))
    assert world.take("learner", world.bundle("provider")) == 0
    sender_refuses(capsys, world, ask, TurnError, "was answered already")
    world = stage("paired")
    ask = world.disk / "early.json"
    said = {"format": "alx-request", "version": 1, "bundle": "0" * 64, "files": ["a"]}
    ask.write_bytes(envelope(forge.form(said), key(world, "provider")))
    sender_refuses(capsys, world, ask, TurnError, "no turn is sealed yet")


def test_more_files_than_a_request_may_name_are_left_to_a_whole_export(sent, bundle, ask, capsys, monkeypatch):
    monkeypatch.setattr(request, "MAX_NAMES", 1)
    for name in C[:2]:
        harm(bundle / name)
    arguments = [*command(sent, "provider", bundle), "--request", str(ask)]
    forge.refused(capsys, arguments, CorruptError, "2 of the bundle's files", hint="so none was written")
    assert not ask.exists()


def test_a_partial_export_does_not_count_as_the_bundle_handed_over(stage):
    world = stage("paired")
    assert forge.run(["train-local", "--site", str(world.folder("learner"))]) == 0
    ask = world.disk / "ask.json"
    ask.write_bytes(envelope(payload(world), key(world, "provider")))
    assert forge.run(export(world, "--only", ask)) == 0
    assert world.state("learner").position.step == "export"
    assert forge.run(export(world)) == 0
    assert world.state("learner").position.step == "import"


def test_a_partial_copy_that_the_disk_does_not_give_back_is_not_recorded(sent, bundle, ask, capsys, monkeypatch):
    really = os.fsync

    def losing(fd):
        really(fd)
        where = Path(f"/proc/self/fd/{fd}").readlink()
        if where.name.startswith("c0001"):
            where.write_bytes(where.read_bytes()[:8] + b"\0\0\0\0" + where.read_bytes()[12:])

    for name in C[:2]:
        harm(bundle / name)
    forge.run([*command(sent, "provider", bundle), "--request", str(ask)])
    before = sent.fingerprint("learner")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", losing)
        forge.refused(
            capsys, export(sent, "--only", ask), CorruptError, "does not give back", "1 of", C[1], hint="another disk"
        )
    assert sent.fingerprint("learner") == before
    imported(sent, requested(sent, bundle, ask))


def test_a_partial_export_killed_anywhere_leaves_nothing_that_looks_finished_and_goes_on(sent, bundle, ask, tmp_path):
    for name in (MANIFEST, C[2]):
        harm(bundle / name)
    forge.run([*command(sent, "provider", bundle), "--request", str(ask)])
    before = history(sent, "learner")
    worlds = killed(
        sent, tmp_path / "killed", "export", "{}/disk", "--only", "{}/disk/missing.json", "--site", "{}/learner", every=4
    )
    assert len(worlds) > 3
    for what, world in worlds:
        for part in world.disk.glob("*.repair-????????"):
            assert {p.name for p in part.rglob("*") if p.is_file()} == {"round.sig", MANIFEST, Path(C[2]).name}, what
        assert history(world, "learner")[: len(before)] == before, what
        assert forge.run(export(world, "--only", world.disk / "missing.json")) == 0, what
        assert not leftovers(World(world.root / "learner")), what
        assert not list(world.disk.glob("*.partial")), what
    audit.site(world.state("learner"))
    (part,) = world.disk.glob("*.repair-????????")
    imported(world, part)


# --- parity


def with_parity(world: World, percent: int) -> Path:
    """The bundle is exported again, with parity; the parity folder."""
    assert forge.run(export(world, "--parity", str(percent))) == 0
    (folder,) = world.disk.glob("*.parity")
    return folder


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
    imported(half, bundle, "--also", other, "--also", spare)
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
    refused_import(capsys, half, "provider", bundle, CorruptError, *told, hint="--also")
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
    assert "any 2 of 4 files can be rebuilt if lost" in told.out
    assert sent.state("learner").entries[-1].record.parity == 30
    assert "round 1, with parity for 30 % of its files, read back" in alx("audit", sent.folder("learner")).out
    told = alx("export", sent.disk, "--parity", "1", "--json", *site)
    (spare,) = sent.disk.glob("*.parity")
    assert json.loads(told.out)["parity"] == str(spare)
    assert sorted(p.name for p in spare.iterdir()) == ["g00000-p000", MANIFEST, "parity.json", "round.sig"]
    assert alx("export", sent.disk, "--parity", "0", *site).code == 2
    assert "leave one of them away" in alx("export", sent.disk, "--parity", "9", "--only", "x", *site).err


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
    worlds = killed(half, tmp_path / "killed", *arguments, every=8)
    assert any("r001" in what for what, _ in worlds)
    for what, world in worlds:
        assert world.take("provider", world.bundle("learner")) == 0, what
        audit.site(world.state("provider"))
        assert not leftovers(world), what


def test_an_encrypted_bundle_is_repaired_in_every_way(tmp_path, capsys):
    """Copies, request and parity are about the files as they travel: nothing has to be decrypted for them."""
    world = pair_world(make_world(tmp_path / "world", "encrypt = true\n" + PLAN))
    bundle = world.turn("learner")
    names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*.age"))
    assert len(names) == 5
    other = Path(shutil.copytree(bundle, world.disk / "other"))
    spare = with_parity(world, 25)
    for at, kind in enumerate(("copy", "request", "parity")):
        again = World(Path(shutil.copytree(world.root, tmp_path / kind)))
        here = again.disk / bundle.name
        harm(here / "manifest.json.age")
        harm(here / names[at])
        if kind == "copy":
            harm(again.disk / other.name / names[3])
            shutil.rmtree(again.disk / spare.name)
            imported(again, here, "--also", again.disk / other.name)
        elif kind == "request":
            shutil.rmtree(again.disk / spare.name)
            imported(again, requested(again, here, again.disk / "ask.json"))
        else:
            imported(again, here)
            assert "1 file was rebuilt" in capsys.readouterr().out


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


def test_what_is_read_back_comes_from_the_disk_and_not_from_the_cache(sent, tmp_path, monkeypatch):
    """Pages that were not synced stay in the cache whatever is advised; alx syncs each file before."""
    if not hasattr(os, "posix_fadvise") or not sys.platform.startswith("linux"):
        pytest.skip("only Linux drops a file's pages on demand, and tells")
    probe = tmp_path / "probe"
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
        left[path.relative_to(sent.root / "stick").as_posix()] = resident(path)

    (sent.root / "stick").mkdir()
    monkeypatch.setattr(os, "posix_fadvise", advising)
    assert forge.run(["export", str(sent.root / "stick"), "--parity", "50", "--site", str(sent.folder("learner"))]) == 0
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
    data = signature.sign("bundle", listed, maker)
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
