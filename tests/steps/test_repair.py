"""A damaged disk is not the end: copies are merged, and a request brings what is missing."""

import itertools
import json
import os
import shutil
from pathlib import Path

import pytest

from alx import audit
from alx.bundle import keys, request
from alx.bundle.keys import PublicKey
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
from tests.forge import command, refused, refused_import
from tests.killed import history, killed, leftovers
from tests.mending import HARMS, MANIFEST, C, also_refused, digest, export, harm, imported, with_parity


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


# --- copies


@pytest.mark.parametrize("way", HARMS)
@pytest.mark.parametrize("merge", ["at once", "one after the other"])
def test_good_files_of_two_copies_are_merged(sent, bundle, other, capsys, way, merge):
    for path in (bundle / C[0], bundle / C[1], other / MANIFEST, other / C[2]):
        HARMS[way](path)
    if merge == "at once":
        imported(sent, bundle, other)
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
    imported(sent, bundle, other, third)


def test_a_file_is_bad_only_where_no_copy_has_it_good(sent, bundle, other, capsys):
    harm(bundle / C[0])
    (other / C[0]).unlink()
    harm(bundle / C[1])
    harm(other / C[2])
    words = ("1 of the bundle's files is bad", f"'{C[0]}' differs from what was signed in folder 1, is missing in folder 2")
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
    imported(sent, bundle, other)


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
    own = world.bundle("provider", 1)
    also_refused(
        capsys, world, PeerError, f"'{own.name}' is a bundle of this site's own, the provider's", path=new, also=[own]
    )


def test_a_bundle_of_ones_own_is_refused_with_the_one_that_is_awaited(stage, capsys):
    world = stage("second")  # the provider waits for the learner's second
    own, awaited = world.bundle("provider", 1), world.bundle("learner", 2).name
    hint = f"carry it to the learner; here import the learner's '{awaited}'"
    also_refused(capsys, world, PeerError, f"'{own.name}' is a bundle of this site's own", path=own, hint=hint)


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
    imported(sent, bundle, other)
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
            imported(world, copies[0], copies[1])
        shutil.rmtree(world.root)


# --- requests


def key(world: World, role: str):
    return keys.load_private(world.folder(role) / "key.pem")


@pytest.fixture
def ask(sent) -> Path:
    return sent.disk / "missing.json"


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
        "round": 1,
        "bundle": bundle.name,
        "digest": digest(sent),
        "request": said.digest,
        "files": 1,
        "names": [C[1]],
    }
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
    imported(sent, bundle, part)


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
        lambda w: payload(w, files=["data/c0009-p0000.safetensors.zst"]),
        MalformedError,
        "which the bundle does not have",
    ),
    "a name that no bundle has": (lambda w: payload(w, files=["data/../../key.pem"]), ForbiddenFileError, "no bundle's"),
    "a path from the root": (lambda w: payload(w, files=["/etc/passwd"]), ForbiddenFileError, "'/etc/passwd' is asked for"),
    "a terminal's escape": (lambda w: payload(w, files=["a\x1b[2J"]), ForbiddenFileError, r"a\x1b"),
    "the signature": (lambda w: payload(w, files=["round.sig"]), ForbiddenFileError, "'round.sig'"),
    "50,000 names": (lambda w: payload(w, files=[f"{i}" for i in range(50_000)]), LimitError, "values, and may have 10005"),
    "names of a megabyte": (lambda w: payload(w, files=["a" * 2**20]), LimitError, "bytes, and may have"),
    "no names": (lambda w: payload(w, files=[]), MalformedError, "no request"),
    "a name twice": (lambda w: payload(w, files=[C[0], C[0]]), MalformedError, "there twice"),
    "names out of order": (lambda w: payload(w, files=[C[1], C[0]]), MalformedError, "not in their order"),
    "another version": (lambda w: payload(w, version=2), MalformedError, "no request"),
    "an unknown field": (lambda w: payload(w, more=1), MalformedError, "no request"),
    "a key twice": (lambda w: payload(w)[:-1] + b',"version":1}', MalformedError, "twice"),
    "no JSON": (lambda _: b"x", MalformedError, "not JSON"),
    "deep JSON": (lambda _: b"[" * 9_000 + b"]" * 9_000, MalformedError, "nested too deeply"),
}


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
        ),
        TrustError,
        "does not verify",
    ),
    "a type for bundles": (
        lambda w: envelope(payload(w), key(w, "provider"), payload_type=forge.PAYLOAD_TYPE),
        MalformedError,
        "not a request",
    ),
    "a bundle's statement": (
        lambda w: envelope(payload(w), key(w, "provider"), payload_type=forge.PAYLOAD_TYPE).replace(
            forge.PAYLOAD_TYPE.encode(), request.PAYLOAD_TYPE.encode()
        ),
        TrustError,
        "does not verify",
    ),
    "no signature": (lambda w: envelope(payload(w), key(w, "provider"), signatures=[]), MalformedError, "not a request"),
    "other spaces": (lambda w: envelope(payload(w), key(w, "provider")) + b"\n", MalformedError, "one item a line"),
    "an unknown field": (lambda w: envelope(payload(w), key(w, "provider"), x=1), MalformedError, "not a request"),
    "a bomb": (lambda _: b"[" + b"0," * 2**18 + b"0]", LimitError, "values"),
    "two megabytes": (lambda _: b" " * 2**21, LimitError, "may have 1048576"),
    "an identity file": (lambda w: (w.disk / "provider.json").read_bytes(), LimitError, "values"),
    "a bundle's signature": (lambda w: (w.bundle("learner") / "round.sig").read_bytes(), MalformedError, "not a request"),
    "nothing": (lambda _: b"", MalformedError, "not JSON"),
}


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
    audit.site(world.site("learner"))
    (part,) = world.disk.glob("*.repair-????????")
    imported(world, part)


# --- encrypted


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
            imported(again, here, again.disk / other.name)
        elif kind == "request":
            shutil.rmtree(again.disk / spare.name)
            imported(again, requested(again, here, again.disk / "ask.json"))
        else:
            imported(again, here)
            assert "1 file was rebuilt" in capsys.readouterr().out


# --- the site's own copy


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


SPOILT = {
    "a file is another": lambda folder: flipped(folder / C[1]),
    "a file is gone": lambda folder: (folder / C[1]).unlink(),
    "the signature is gone": lambda folder: (folder / "round.sig").unlink(),
    "junk lies in it": lambda folder: (folder / "Thumbs.db").touch(),
    "all of it is gone": shutil.rmtree,
    "a file lies there": lambda folder: (shutil.rmtree(folder), folder.write_bytes(b"x")),
}


@pytest.mark.parametrize(
    ("at", "way"),
    [*(("answered", way) for way in SPOILT), ("closed", "the signature is gone"), ("closed", "all of it is gone")],
)
def test_what_is_damaged_in_the_inbox_is_put_there_anew_by_importing_it_again(stage, alx, at, way):
    world, role = stage(at), "provider"
    carried = world.closing if at == "closed" else world.bundle("learner")
    folder = world.site(role).inbox / carried.name
    SPOILT[way](folder)
    before = history(world, role)
    done = alx(*command(world, role, carried))
    assert (done.code, "already imported; it was damaged in this site's inbox" in done.out) == (0, True)
    assert history(world, role) == before
    assert sorted(p.name for p in folder.rglob("*")) == sorted(p.name for p in carried.rglob("*"))
    assert "nothing changed" in alx(*command(world, role, carried)).out
    assert not leftovers(world)


def test_a_damaged_copy_does_not_take_the_place_of_another(stage, capsys):
    world = stage("answered")
    bundle = world.bundle("learner")
    flipped(world.site("provider").inbox / bundle.name / C[1])
    flipped(bundle / C[1])
    refused(capsys, command(world, "provider", bundle), CorruptError, "1 of the bundle's files is bad", hint="--request")
    assert (world.site("provider").inbox / bundle.name).is_dir()


def test_what_is_damaged_in_the_outbox_says_where_a_good_copy_goes(stage, alx, capsys):
    world = stage("sent")
    own, target = world.site("learner").outbox / world.bundle("learner").name, world.root / "new"
    target.mkdir()
    words = ["export", str(target), "--site", str(world.folder("learner"))]
    for harm_it in (flipped, Path.unlink):
        harm_it(own / C[1])
        told = refused(capsys, words, CorruptError, C[1], hint="put a good copy there, from a disk or a backup")
        assert str(own) in told
    shutil.rmtree(own)
    refused(capsys, words, CorruptError, "it is gone", hint="put a good copy there, from a disk or a backup")
    shutil.copytree(world.bundle("learner"), own)
    assert alx(*words).code == 0
