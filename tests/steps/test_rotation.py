"""A key is replaced by a new one: signed by the old, compared by people, pinned by the peer; the past still verifies."""

import base64
import json
import shutil

import click
import pytest

from alx import audit
from alx.bundle import dsse, keys, rotation
from alx.bundle.keys import PublicKey
from alx.cli.main import run
from alx.errors import AlxError, LimitError, MalformedError, PeerError, RollbackError, TrustError, TurnError, UsageError
from tests.forge import Forge, form, refused, refused_import
from tests.killed import history, killed
from tests.project.test_generated import validator
from tests.site.test_keys import PASSPHRASE, descriptor, set_passphrase


def rotate(world, role, *options):
    """The rotation file on the disk."""
    file = world.disk / f"{role}-rotation.json"
    assert run(["key", "rotate", str(file), "--site", str(world.folder(role)), *options]) == 0
    return file


def accept(world, role, file):
    return run(["key", "accept", str(file), "--yes", "--site", str(world.folder(role))])


def accepting(world, role, file):
    return ["key", "accept", str(file), "--yes", "--site", str(world.folder(role))]


@pytest.fixture
def turn_two(stage):
    """The learner has imported the provider's reply, and nothing is on the way."""
    world = stage("answered")
    assert world.take("learner", world.bundle("provider")) == 0
    return world


def test_both_rotate_in_the_middle_and_the_exchange_goes_on_to_its_end(turn_two):
    world = turn_two
    before = {role: world.state(role).public_key for role in ("learner", "provider")}
    file = rotate(world, "learner")
    assert accept(world, "provider", file) == 0
    assert world.take("provider", world.turn("learner")) == 0
    assert accept(world, "learner", rotate(world, "provider")) == 0
    assert world.take("learner", world.turn("provider")) == 0
    for role, other in (("learner", "provider"), ("provider", "learner")):
        site, peer = world.state(role), world.state(other)
        assert site.peer_key == peer.public_key != before[other]
        assert site.public_key == keys.load_public(world.folder(role) / "public.pem") == peer.peer_key
        assert keys.load_public(world.folder(role) / "peer.pem") == peer.public_key
        report = audit.site(site.site)
        signed = {b.manifest.round: b.signer for b in report.bundles if b.manifest.sender.role == role}
        assert signed == {1: before[role], 2: site.public_key}
        told = [e.line.kind for e in site.entries]
        assert told.count("rotated") == told.count("peer-rotated") == 1
    assert run(["best", str(world.root / "best.safetensors"), "--site", str(world.folder("learner"))]) == 0


def test_the_words_that_the_peer_compares_are_those_of_the_new_key(turn_two, alx, alx_process):
    learner, provider = turn_two.folder("learner"), turn_two.folder("provider")
    file = turn_two.disk / "r.json"
    told = alx("key", "rotate", file, "--site", learner).out
    words = keys.words(turn_two.state("learner").public_key.fingerprint)
    assert words in told
    before = history(turn_two, "provider")
    no_answer = alx_process("key", "accept", file, "--site", provider)  # nobody at the prompt
    assert words in no_answer.out
    assert no_answer.code == 2
    assert history(turn_two, "provider") == before
    assert json.loads(alx("key", "accept", file, "--yes", "--json", "--site", provider).out)["words"] == words


def test_a_rotation_asked_for_again_is_the_same_one_and_keeps_the_passphrase(turn_two):
    folder = turn_two.folder("learner")
    set_passphrase(folder, PASSPHRASE)
    with descriptor(PASSPHRASE) as fd:
        first = rotate(turn_two, "learner", "--passphrase-fd", fd).read_bytes()
    assert (
        keys.PublicKey(keys.load_private(folder / "key.pem", PASSPHRASE.encode).public_key())
        == turn_two.state("learner").public_key
    )
    told = history(turn_two, "learner")
    assert rotate(turn_two, "learner").read_bytes() == first  # needs no private key
    assert history(turn_two, "learner") == told
    with descriptor(PASSPHRASE) as fd:
        assert run(["train-local", "--site", str(folder), "--passphrase-fd", fd]) == 0


def test_accepting_twice_changes_nothing(turn_two):
    file = rotate(turn_two, "learner")
    assert accept(turn_two, "provider", file) == 0
    told = history(turn_two, "provider")
    assert accept(turn_two, "provider", file) == 0
    assert history(turn_two, "provider") == told


def test_a_provider_rotates_before_round_one_while_the_first_bundle_comes(stage):
    world = stage("sent")
    old = world.state("provider").public_key
    file = rotate(world, "provider")
    assert world.take("provider", world.bundle("learner")) == 0  # it names the provider's old key
    reply = world.turn("provider")
    assert accept(world, "learner", file) == 0
    assert world.take("learner", reply) == 0
    assert audit.site(world.site("provider")).bundles[0].manifest.receiver.key == old.fingerprint


@pytest.mark.parametrize(
    ("at", "role", "why"),
    [
        ("sent", "learner", "is on its way"),
        ("answered", "provider", "is on its way"),
        ("finished", "provider", "is on its way"),
        ("closing", "learner", "is done"),
        ("closed", "provider", "is done"),
    ],
)
def test_no_rotation_while_something_is_on_the_way_or_for_nothing(stage, capsys, at, role, why):
    world = stage(at)
    told = history(world, role)
    refused(capsys, ["key", "rotate", str(world.disk / "r.json"), "--site", str(world.folder(role))], TurnError, why)
    assert history(world, role) == told
    assert not (world.disk / "r.json").exists()


def test_a_bundle_by_a_new_key_is_refused_with_the_way_out_until_the_key_is_accepted(turn_two, capsys):
    file = rotate(turn_two, "learner")
    bundle = turn_two.turn("learner")
    refused_import(capsys, turn_two, "provider", bundle, TrustError, "expected", hint="alx key accept")
    assert accept(turn_two, "provider", file) == 0
    assert turn_two.take("provider", bundle) == 0


def test_what_the_old_key_signs_afterwards_is_refused_and_what_it_signed_before_is_known(turn_two, capsys):
    thief = keys.load_private(turn_two.folder("learner") / "key.pem")
    assert accept(turn_two, "provider", rotate(turn_two, "learner")) == 0
    first = turn_two.bundle("learner")
    assert turn_two.take("provider", first) == 0  # already imported
    bundle = turn_two.turn("learner")

    def by_the_thief(manifest):
        manifest["sender"]["key"] = PublicKey(thief.public_key()).fingerprint

    Forge(bundle, thief).edit(by_the_thief)
    refused_import(capsys, turn_two, "provider", bundle, TrustError, "which the peer has replaced", hint="ask the peer")


def envelope(old, new, payload, change=lambda _: None):
    """A rotation file over any payload, signed by both."""
    document = dsse.envelope(payload, rotation.PAYLOAD_TYPE, old, new)
    change(document)
    return dsse.text(document)


def refuse_rotation(capsys, world, data, error, *words, hint=None):
    file = world.disk / "bad.json"
    file.write_bytes(data)
    told = history(world, "provider")
    refused(capsys, accepting(world, "provider", file), error, *words, hint=hint)
    assert history(world, "provider") == told
    assert not list(world.folder("provider").glob("rotations/*"))


def test_a_rotation_that_is_forged_or_broken_pins_nothing(turn_two, capsys):
    world = turn_two
    old, new = keys.load_private(world.folder("learner") / "key.pem"), keys.generate()
    plan = world.site("learner").plan_file.digest
    good = rotation.make(plan, "learner", old, new)
    payload = base64.b64decode(json.loads(good.data)["payload"])
    validator("rotation").validate(json.loads(payload))

    def put(change, signer=old, second=new):
        document = json.loads(payload)
        change(document)
        return envelope(signer, second, form(document))

    stranger = keys.generate()
    for data, error, words in (
        (b"", MalformedError, "not JSON"),
        (b"[" * 20000, LimitError, "16385 or more bytes"),
        (good.data + b" {}", MalformedError, "not JSON"),
        (rotation.make(plan, "learner", stranger, new).data, TrustError, "is signed with the key"),
        (envelope(old, stranger, payload), TrustError, "is signed with the key"),
        (envelope(old, new, payload, lambda d: d["signatures"].pop()), MalformedError, "1 signature, expected 2"),
        (envelope(old, new, payload, lambda d: d["signatures"].append(d["signatures"][0])), MalformedError, "signatures"),
        (envelope(old, new, payload, lambda d: d.update(payloadType="text/plain")), MalformedError, "payloadType"),
        (
            envelope(old, new, payload, lambda d: d["signatures"][1].update(sig="AAAA")),
            TrustError,
            "does not verify with the key",
        ),
        (envelope(old, new, payload, lambda d: d["signatures"][0].update(sig="ä")), MalformedError, "base64"),
        (envelope(old, new, payload, lambda d: d.update(payload="e30=")), TrustError, "does not verify"),
        (put(lambda d: d.update(note=1)), MalformedError, "note"),
        (put(lambda d: d.update(version=2)), MalformedError, "version"),
        (put(lambda d: d.update(new_key=d["old_key"])), MalformedError, "is its old one"),
        (put(lambda d: d.update(old_key=d["new_key"])), MalformedError, "another old key"),
        (put(lambda d: d.update(role="provider")), PeerError, "role"),
        (put(lambda d: d.update(plan="0" * 64)), PeerError, "plan"),
    ):
        refuse_rotation(capsys, world, data, error, words)
    own = keys.load_private(world.folder("provider") / "key.pem")
    refuse_rotation(capsys, world, rotation.make(plan, "learner", old, own).data, TrustError, "was used before")
    refuse_rotation(capsys, world, rotation.make(plan, "provider", own, new).data, PeerError, "site's own key")
    refused(capsys, accepting(world, "provider", world.disk / "none.json"), UsageError, "no file")


def test_an_old_rotation_replayed_is_refused(turn_two, capsys):
    world = turn_two
    old = keys.load_private(world.folder("learner") / "key.pem")
    first = rotate(world, "learner")
    shutil.copy(first, world.disk / "first.json")
    assert accept(world, "provider", first) == 0
    second = keys.load_private(world.folder("learner") / "key.pem")
    plan = world.site("learner").plan_file.digest
    another = rotation.make(plan, "learner", second, keys.generate())
    (world.disk / "second.json").write_bytes(another.data)
    assert accept(world, "provider", world.disk / "second.json") == 0
    refused(capsys, accepting(world, "provider", world.disk / "first.json"), RollbackError, "was replaced before")
    thief = rotation.make(plan, "learner", old, keys.generate())
    (world.disk / "thief.json").write_bytes(thief.data)
    refused(capsys, accepting(world, "provider", world.disk / "thief.json"), RollbackError, "was replaced before")
    assert world.state("provider").peer_key == another.new


def test_a_request_for_files_is_taken_from_the_peers_new_key(turn_two):
    world = turn_two
    assert accept(world, "provider", rotate(world, "learner")) == 0
    assert world.take("provider", world.turn("learner")) == 0
    assert accept(world, "learner", rotate(world, "provider")) == 0
    bundle = world.turn("provider")
    bad = next(bundle.glob("data/*"))
    bad.write_bytes(bad.read_bytes()[:-1])
    ask = world.disk / "ask.json"
    assert run(["import-and-select", str(bundle), "--request", str(ask), "--site", str(world.folder("learner"))]) != 0
    stick = world.root / "stick"
    stick.mkdir()
    assert run(["export", str(stick), "--only", str(ask), "--site", str(world.folder("provider"))]) == 0


def test_a_file_of_somebody_else_is_not_overwritten(turn_two, capsys):
    other = turn_two.disk / "learner.json"
    before = other.read_bytes()
    command = ["key", "rotate", str(other), "--site", str(turn_two.folder("learner"))]
    refused(capsys, command, UsageError, "is no rotation file of this site's")
    assert other.read_bytes() == before


def test_a_private_key_that_is_not_the_ledgers_signs_nothing(turn_two, capsys):
    path = turn_two.folder("learner") / "key.pem"
    path.write_bytes(keys.private_pem(keys.generate()))
    refused(capsys, ["train-local", "--site", str(path.parent)], TrustError, "is not the private key of", hint="backup")


def test_a_rotation_killed_anywhere_leaves_the_old_key_or_the_new_one_and_goes_on(turn_two, tmp_path):
    old = turn_two.state("learner").public_key
    told = history(turn_two, "learner")
    worlds = killed(turn_two, tmp_path / "killed", "key", "rotate", "{}/disk/r.json", "--site", "{}/learner", every=4)
    assert len(worlds) > 3
    for i, (what, world) in enumerate(worlds):
        site = world.site("learner")
        assert history(world, "learner")[: len(told)] == told, what
        rotated = len(history(world, "learner")) > len(told)
        assert (site.look().public_key != old) == rotated, what
        audit.site(site)
        if i % 2:  # whatever comes next finds the key that the ledger names
            with site.locked("export") as now:
                private = now.private_key()
            assert keys.PublicKey(private.public_key()) == now.public_key, what
        command = ["key", "rotate", str(world.disk / "r.json"), "--site", str(site.folder)]
        assert run(command) == 0, what
        now = site.look()
        new = now.public_key
        assert [kind for kind, _ in history(world, "learner")[len(told) :]] == ["rotated"], what
        assert keys.PublicKey(now.private_key().public_key()) == new == keys.load_public(site.folder / "public.pem"), what
        assert [p.name for p in site.folder.glob("key*.pem")] == ["key.pem"], what
        assert accept(world, "provider", world.disk / "r.json") == 0, what
        assert world.state("provider").peer_key == new, what


def test_an_acceptance_killed_anywhere_leaves_the_old_key_pinned_or_the_new_one_and_goes_on(turn_two, tmp_path):
    rotate(turn_two, "learner")
    told = history(turn_two, "provider")
    pinned = turn_two.state("provider").peer_key
    new = turn_two.state("learner").public_key
    command = ("key", "accept", "{}/disk/learner-rotation.json", "--yes", "--site", "{}/provider")
    worlds = killed(turn_two, tmp_path / "killed", *command, every=4)
    assert len(worlds) > 3
    for what, world in worlds:
        assert world.state("provider").peer_key == (pinned if history(world, "provider") == told else new), what
        assert accept(world, "provider", world.disk / "learner-rotation.json") == 0, what
        assert [kind for kind, _ in history(world, "provider")[len(told) :]] == ["peer-rotated"], what
        assert keys.load_public(world.folder("provider") / "peer.pem") == new, what


def test_every_byte_of_a_rotation_counts():
    """White space and the padding of base64 too, which nobody signs."""
    old, new = keys.generate(), keys.generate()
    good = rotation.make("0" * 64, "learner", old, new).data
    known = keys.PublicKey(old.public_key())
    assert rotation.verify(good, known).data == good
    for at, byte in enumerate(good):
        for other in {byte ^ 1, byte ^ 1 << at % 8, *b"\t\n\rA=/"} - {byte}:
            with pytest.raises(AlxError):
                rotation.verify(good[:at] + bytes([other]) + good[at + 1 :], known)
    for changed in (good + b"\n", good[:-1], json.dumps(json.loads(good)).encode()):
        with pytest.raises(AlxError):
            rotation.verify(changed, known)


def test_a_rotation_removes_nobodys_files_but_its_own(stage, alx):
    world = stage("paired")
    folder = world.folder("learner")
    (folder / "key.before-2030.pem").write_text("mine")
    (folder / "key.old.pem").mkdir()
    (folder / "key.0123456789abcdef.pem").write_text("of a rotation that was killed")
    (folder / ".key.pem.tmp").write_text("of a command that was killed: a key without its passphrase")
    assert alx("key", "rotate", world.disk / "r.json", "--site", folder).code == 0
    assert (folder / "key.before-2030.pem").read_text() == "mine"
    assert (folder / "key.old.pem").is_dir()
    assert not (folder / "key.0123456789abcdef.pem").exists()
    assert not (folder / ".key.pem.tmp").exists()


def test_signatures_in_another_order_are_another_form(turn_two, capsys):
    old, new = keys.load_private(turn_two.folder("learner") / "key.pem"), keys.generate()
    document = json.loads(rotation.make(turn_two.site("learner").plan_file.digest, "learner", old, new).data)
    document["signatures"].reverse()
    refuse_rotation(capsys, turn_two, dsse.text(document), MalformedError, "another order")


def test_who_breaks_off_at_the_words_has_not_compared_them(turn_two, capsys, monkeypatch):
    rotate(turn_two, "learner")

    def broken_off(*_, **__):
        raise click.Abort

    monkeypatch.setattr("click.confirm", broken_off)
    accepting_ = [a for a in accepting(turn_two, "provider", turn_two.disk / "learner-rotation.json") if a != "--yes"]
    refused(capsys, accepting_, UsageError, "no terminal to ask at", hint="--yes")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert run(accepting_) == TrustError.exit_code
    assert "the words were not the same" in capsys.readouterr().err
