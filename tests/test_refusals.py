"""Signatures and manifests that lie: every one refused with its own error, before anything of the site changes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from alx.bundle import keys
from alx.bundle.manifest import MAX_STATE_BYTES
from alx.errors import (
    AlxError,
    ForbiddenFileError,
    LimitError,
    MalformedError,
    ModelError,
    NotFiniteError,
    PeerError,
    TrustError,
    UsageError,
)
from tests import forge
from tests.conftest import World
from tests.forge import Forge, refused_import

DEEP = b"[" * 100_000 + b"]" * 100_000
HALF_DEEP = b"[" * 900 + b"]" * 900  # what Python's own reader still takes
# What may not reach a value, whoever signed it: the bytes, and words of the refusal.
BAD_JSON = {
    "no json": (b"once upon a time", "not JSON"),
    "empty": (b"", "not JSON"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
    "bad utf-8": (b'{"a": "\xff"}', "not UTF-8"),
    "duplicate key": (b'{"a": 1, "a": 2}', "the key 'a' twice"),
    "duplicate key of control characters": (b'{"\\u001b[2J": 1, "\\u001b[2J": 2}', r"the key '\x1b[2J' twice"),
    "nan": (b'{"a": NaN}', "NaN"),
    "infinity": (b'{"a": -Infinity}', "-Infinity"),
    "100,000 levels": (DEEP, "nested too deeply"),
    "900 levels": (b'{"mediaType": ' + HALF_DEEP + b"}", "nested too deeply"),
    "5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
    "another document": (b'{"a": 1}', "mediaType"),
    "a list": (b"[]", "valid dictionary"),
    "a lone surrogate": (b'{"\\ud800": 1}', "unable to parse"),
}


@dataclass(frozen=True)
class Lie:
    """One way to lie, and what must be said about it."""

    tell: Callable[[Forge], Any]
    error: type[AlxError]
    words: tuple[str, ...] = ()
    hint: str | None = None


@pytest.fixture
def sent(stage) -> World:
    return stage("sent")


@pytest.fixture
def forged(sent) -> Forge:
    return Forge.of(sent, "learner")


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_signature_file_that_is_not_strict_json_is_malformed(sent, forged, capsys, name):
    data, words = BAD_JSON[name]
    forged.put(data)
    limit = name in ("100,000 levels", "900 levels")  # more values than a signature file may have
    refused_import(
        capsys, sent, "provider", forged.bundle, LimitError if limit else MalformedError, "values" if limit else words
    )


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_signed_statement_that_is_not_strict_json_is_malformed(sent, forged, capsys, name):
    data, words = BAD_JSON[name]
    forged.sign_bytes(data)
    refused_import(capsys, sent, "provider", forged.bundle, MalformedError, words.replace("mediaType", "_type"))


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_signed_manifest_that_is_not_strict_json_is_malformed(sent, forged, capsys, name):
    data, words = BAD_JSON[name]
    forged.manifest_bytes(data)
    refused_import(capsys, sent, "provider", forged.bundle, MalformedError, words.replace("mediaType", "format"))


def document(change: Callable[[dict[str, Any]], Any]) -> Callable[[Forge], None]:
    """Change `round.sig` without signing anew."""

    def tell(forged: Forge) -> None:
        said = forged.document()
        change(said)
        forged.put(said)

    return tell


def stranger(hint_of_peer: bool) -> Callable[[Forge], None]:
    """Signed by a key nobody knows, with its own hint or the peer's."""

    def tell(forged: Forge) -> None:
        hint = forged.document()["verificationMaterial"]
        Forge(forged.bundle, ec.generate_private_key(ec.SECP256R1())).sign()
        if hint_of_peer:
            forged.put(forged.document() | {"verificationMaterial": hint})

    return tell


def not_a_bundle(forged: Forge) -> None:
    """The peer's key has signed a model for somebody else, with the public tool."""
    for path in sorted(forged.bundle.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (forged.bundle / "model.bin").write_bytes(b"weights")
    forged.sign()


def payload_type(forged: Forge) -> None:
    payload = json.dumps(forge.statement(forged.bundle.name, forged.resources())).encode()
    forged.put(forge.envelope(payload, forged.key, "application/json"))


def twice_in_the_document(forged: Forge) -> None:
    path = forged.bundle / "round.sig"
    path.write_bytes(path.read_bytes().replace(b'"mediaType"', b'"mediaType": "x", "mediaType"', 1))


def envelope_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["dsseEnvelope"]


SIGNATURES = {
    "an unknown key": Lie(stranger(hint_of_peer=False), TrustError, ("signed with the key", "expected"), "pinned peer"),
    "the peer's hint on another key's signature": Lie(
        stranger(hint_of_peer=True), TrustError, ("does not verify",), "again"
    ),
    "an empty signature": Lie(
        document(lambda d: envelope_of(d)["signatures"][0].update(sig="")), TrustError, ("does not verify",), "again"
    ),
    "a signature of zeros": Lie(
        document(lambda d: envelope_of(d)["signatures"][0].update(sig="AAAA")), TrustError, ("does not verify",), "again"
    ),
    "a signature that is not base64": Lie(
        document(lambda d: envelope_of(d)["signatures"][0].update(sig="?")), MalformedError, ("base64",)
    ),
    "a payload beyond ascii": Lie(document(lambda d: envelope_of(d).update(payload="é")), MalformedError, ("base64",)),
    "two signatures": Lie(
        document(lambda d: envelope_of(d).update(signatures=envelope_of(d)["signatures"] * 2)),
        MalformedError, ("signatures", "at most 1"),
    ),
    "no signature": Lie(
        document(lambda d: envelope_of(d).update(signatures=[])), MalformedError, ("signatures", "at least 1")
    ),
    "another payload type": Lie(payload_type, MalformedError, ("payloadType",)),
    "an unknown field": Lie(document(lambda d: d.update(extra=1)), MalformedError, ("extra",)),
    "a field of control characters": Lie(
        document(lambda d: d.update({"\x1b[2J\u202e": 1})), MalformedError, (r"\x1b[2J\u202e",)
    ),
    "a key twice": Lie(twice_in_the_document, MalformedError, ("'mediaType' twice",)),
    "a certificate instead of a key": Lie(
        document(lambda d: d.update(verificationMaterial={"certificate": {"rawBytes": ""}})), MalformedError, ("publicKey",)
    ),
    "an old media type": Lie(
        document(lambda d: d.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1")),
        MalformedError, ("mediaType",),
    ),
    "a million values": Lie(lambda f: f.put(b"[" + b"0," * 1_000_000 + b"0]"), LimitError, ("values",)),
    "17 MiB": Lie(lambda f: f.put(b" " * (17 << 20)), LimitError, ("bytes, and may have",)),
}  # fmt: skip

STATEMENTS = {
    "something that is no alx round": Lie(not_a_bundle, MalformedError, ("not an alx bundle",)),
    "another statement type": Lie(lambda f: f.sign(lambda s: s.update(_type="x")), MalformedError, ("_type",)),
    "another predicate type": Lie(
        lambda f: f.sign(lambda s: s.update(predicateType="x")), MalformedError, ("predicateType",)
    ),
    "a wrong root digest": Lie(
        lambda f: f.sign(lambda s: s["subject"][0]["digest"].update(sha256="0" * 64)), MalformedError, ("root digest",)
    ),
    "two subjects": Lie(lambda f: f.sign(lambda s: s.update(subject=s["subject"] * 2)), MalformedError, ("subject",)),
    "links allowed": Lie(
        lambda f: f.sign(lambda s: s["predicate"]["serialization"].update(allow_symlinks=True)),
        MalformedError, ("allow_symlinks",),
    ),
    "another hash": Lie(
        lambda f: f.sign(lambda s: s["predicate"]["resources"][0].update(algorithm="md5")), MalformedError, ("algorithm",)
    ),
    "a file of 2^63 bytes": Lie(
        lambda f: f.sign(lambda s: s["predicate"]["resources"][0].update(size=2**63)), MalformedError, ("size",)
    ),
    "100,000 faults": Lie(
        lambda f: f.sign(lambda s: s["predicate"].update(resources=[0] * 100_000)), MalformedError, ("100000 fields",)
    ),
    "another bundle's name": Lie(
        lambda f: f.sign(name="alx-00000000-r009-learner\x1b"), MalformedError, (r"alx-00000000-r009-learner\x1b",)
    ),
}  # fmt: skip


def also_signed(name: str) -> Lie:
    """A name nobody has on the disk: it stands in the statement only."""

    def tell(forged: Forge) -> None:
        said = forge.statement(forged.bundle.name, [*forged.resources(), forge.listed(name, b"x")])
        forged.sign_bytes(json.dumps(said).encode())

    return Lie(tell, ForbiddenFileError, ("a name that no bundle has",))


NAMES = {
    "the folder above": also_signed("../x"),
    "out of the data folder": also_signed("data/../../x"),
    "the data folder twice": also_signed("data/data/x"),
    "an absolute path": also_signed("/x"),
    "a drive": also_signed("C:\\x"),
    "a backslash": also_signed("data\\x"),
    "a line end": also_signed("a\nb"),
    "a NUL": also_signed("a\x00b"),
    "a terminal's escape": also_signed("a\x1b[2Jb"),
    "a right-to-left mark": also_signed("a\u202eb"),
    "upper case": also_signed("Manifest.json"),
    "255 characters": also_signed("a" * 255),
    "a hidden file": also_signed(".x"),
    "the signature itself": also_signed("round.sig"),
}


def first(change: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda m: m["candidates"][0].update(change)


def edit(change: Callable[[dict[str, Any]], Any], error: type[AlxError], *words: str, hint: str | None = None) -> Lie:
    return Lie(lambda f: f.edit(change), error, words, hint)


def in_order(manifest: dict[str, Any], tensors: list[dict[str, Any]]) -> None:
    size = {"F64": 8, "F32": 4, "F16": 2}
    manifest["tensors"] = sorted(tensors, key=lambda t: (-size[t["dtype"]], t["name"]))


def huge(manifest: dict[str, Any]) -> None:
    manifest["tensors"] = [{"name": "w", "dtype": "F32", "shape": [1 << 40] * 16}]


MANIFESTS = {
    "round 0": edit(lambda m: m.update(round=0), MalformedError, "round"),
    "sequence 2^63": edit(lambda m: m.update(sequence=2**63), MalformedError, "sequence"),
    "sequence of another round": edit(lambda m: m.update(sequence=3), MalformedError, "sequence 3"),
    "a truth value for a number": edit(lambda m: m.update(round=True), MalformedError, "round"),
    "another format's version": edit(
        lambda m: m.update(version="2\x1b"), MalformedError, "version", r"'2\x1b'", hint="same version"
    ),
    "an unknown field": edit(lambda m: m.update(patients=3), MalformedError, "patients"),
    "no samples": edit(lambda m: m.update(samples=0), MalformedError, "samples"),
    "an infinite loss": edit(lambda m: m["candidates"][1].update(loss=1e999), MalformedError, "Infinity"),
    "a loss of 400 digits": edit(first({"loss": 10**399}), MalformedError, "loss"),
    "a negative loss": edit(first({"loss": -1.0}), MalformedError, "t=0", "-1.0", "never below 0"),
    "a file of another snapshot": edit(
        first({"files": ["data/c0001-p0000.safetensors.zst"]}), MalformedError, "candidate 0"
    ),
    "no keyframe": edit(first({"keyframe": False}), MalformedError, "keyframe"),
    "steps that fall": edit(lambda m: m["candidates"][1].update(step=99), MalformedError, "do not rise"),
    "fewer snapshots than signed": edit(
        lambda m: m["candidates"].pop(), MalformedError, "only one of manifest and signature"
    ),
    "a tensor twice": edit(lambda m: m["tensors"].insert(0, m["tensors"][0]), MalformedError, "twice"),
    "a tensor's name with a line end": edit(
        lambda m: m["tensors"][0].update(name="a\nb"), MalformedError, "control character"
    ),
    "a model of 2^640 bytes": edit(huge, LimitError, "a snapshot of", str(MAX_STATE_BYTES)),
    "a shape below zero": edit(lambda m: m["tensors"][0].update(shape=[-1]), MalformedError, "shape"),
    "another architecture": edit(
        lambda m: m.update(tensors=[{"name": "w", "dtype": "F32", "shape": [3]}]), ModelError,
        "'0.bias' expected F32[8], got nothing", "and 4 more", hint="same model",
    ),
    "a renamed tensor": edit(
        lambda m: in_order(m, [m["tensors"][0] | {"name": "0.bios"}, *m["tensors"][1:]]), ModelError, "0.bios", "0.bias"
    ),
    "a missing tensor": edit(lambda m: m["tensors"].pop(), ModelError, "got nothing"),
    "an extra tensor": edit(
        lambda m: m["tensors"].append({"name": "zz", "dtype": "F32", "shape": [1]}), ModelError, "'zz' expected nothing"
    ),
    "another dtype": edit(
        lambda m: in_order(m, [m["tensors"][0] | {"dtype": "F16"}, *m["tensors"][1:]]), ModelError, "got F16[8]"
    ),
    "another shape": edit(lambda m: m["tensors"][0].update(shape=[2, 4]), ModelError, "got F32[2, 4]"),
    "another plan": edit(lambda m: m.update(plan="0" * 64), MalformedError, "signed as"),
    "another sender's key": edit(lambda m: m["sender"].update(key="0" * 64), PeerError, "sender's key", hint="this site"),
    "somebody else's": edit(
        lambda m: m["receiver"].update(key="0" * 64), PeerError, "receiver's key is 0000", hint="this site"
    ),
    "other data than paired with": edit(lambda m: m.update(samples=41), PeerError, "sample count is 41, expected 40"),
    "the other role": edit(
        lambda m: (m["sender"].update(role="provider"), m["receiver"].update(role="learner")), MalformedError, "sequence"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_file_is_refused_with(sent, forged, capsys, name):
    lie = SIGNATURES[name]
    lie.tell(forged)
    refused_import(capsys, sent, "provider", forged.bundle, lie.error, *lie.words, hint=lie.hint)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_valid_signature_is_refused_over(sent, forged, capsys, name):
    lie = STATEMENTS[name]
    lie.tell(forged)
    refused_import(capsys, sent, "provider", forged.bundle, lie.error, *lie.words, hint=lie.hint)


@pytest.mark.parametrize("name", NAMES)
def test_a_signed_file_name_is_refused_with(sent, forged, capsys, name):
    lie = NAMES[name]
    lie.tell(forged)
    refused_import(capsys, sent, "provider", forged.bundle, lie.error, *lie.words, hint=lie.hint)


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_signed_manifest_is_refused_with(sent, forged, capsys, name):
    lie = MANIFESTS[name]
    lie.tell(forged)
    refused_import(capsys, sent, "provider", forged.bundle, lie.error, *lie.words, hint=lie.hint)
    assert not (sent.folder("provider") / "staging").exists()


def test_what_the_forge_signs_is_accepted_where_it_does_not_lie(sent, forged):
    """Else every test here could pass for a reason of its own."""
    forged.sign()
    assert sent.take("provider", forged.bundle) == 0


def test_the_plan_is_compared_even_where_its_name_fits(sent, forged, capsys):
    plan = forged.manifest()["plan"]
    forged.edit(lambda m: m.update(plan=plan[:8] + "0" * 56))
    refused_import(capsys, sent, "provider", forged.bundle, PeerError, "plan is", "expected", hint="this plan")


def test_an_infinite_loss_written_as_a_number_is_named_by_its_snapshot(sent, forged, capsys):
    data = (forged.bundle / "manifest.json").read_bytes()
    loss = json.dumps(forged.manifest()["candidates"][2]["loss"]).encode()
    forged.manifest_bytes(data.replace(loss, b"1e999"))
    refused_import(capsys, sent, "provider", forged.bundle, NotFiniteError, "the loss of t=4 is inf")


def test_a_claimed_global_loss_must_be_finite_and_not_negative(stage, capsys):
    world = stage("answered")
    forged = Forge.of(world, "provider")
    kept = forged.manifest()
    forged.edit(lambda m: m["start"].update(global_loss=-1))
    refused_import(capsys, world, "learner", forged.bundle, MalformedError, "claimed global loss is -1", "never below 0")
    text = json.dumps(kept | {"start": kept["start"] | {"global_loss": "X"}}).replace('"X"', "1e999")
    forged.manifest_bytes(text.encode())
    refused_import(capsys, world, "learner", forged.bundle, NotFiniteError, "claimed global loss is inf")


def test_a_bundle_of_the_site_itself_is_not_imported(sent, capsys):
    refused_import(capsys, sent, "learner", sent.bundle("learner"), PeerError, "the site's own", hint="the peer made")


def test_the_identity_of_a_hostile_peer_is_refused_without_a_traceback(stage, capsys, tmp_path):
    world = stage("paired")
    good = json.loads((world.disk / "provider.json").read_bytes())
    path = tmp_path / "peer.json"
    pair = ["pair", str(path), "--yes", "--site", str(world.folder("learner"))]
    changes = (
        {"plan": "x = " + "9" * 5000}, {"plan": "\ud800"}, {"plan": "[" * 100_000}, {"plan": ""}, {"public_key": "é"},
        {"public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, {"samples": 0}, {"tensors": []},
    )  # fmt: skip
    for data in (*(d for d, _ in BAD_JSON.values()), *(json.dumps(good | change).encode() for change in changes)):
        path.write_bytes(data)
        forge.refused(capsys, pair, MalformedError)
    path.write_bytes(b" " * (9 << 20))
    forge.refused(capsys, pair, LimitError)


def test_an_audit_takes_no_key_from_around_the_bundle(sent, capsys, monkeypatch, tmp_path):
    """A disk may hold a whole site, with the keys of whoever filled it."""
    inside = sent.folder("learner") / "inbox" / sent.bundle("learner").name
    sent.bundle("learner").rename(inside)
    monkeypatch.chdir(tmp_path)
    forge.refused(capsys, ["audit", str(inside)], UsageError, "no --key", hint="--key")
    monkeypatch.setenv("ALX_SITE", str(sent.folder("provider")))
    assert forge.run(["audit", str(inside)]) == 0
    monkeypatch.delenv("ALX_SITE")
    stray = tmp_path / "key.pem"
    stray.write_text(keys.PublicKey(keys.generate().public_key()).pem)
    forge.refused(capsys, ["audit", str(inside), "--key", str(stray)], TrustError, "expected one of", hint="--key")
