"""The signature file: make it, and verify it. Bytes in, a typed statement out, or raise.

OpenSSF Model Signing v1.0, method `key`, `files`, SHA-256, ECDSA P-256: Sigstore bundle JSON around a DSSE envelope
around an in-toto statement that lists the digest of every file. Knows digests and keys; opens no other file.
`model_signing verify key` reads the same file.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from alx.bundle import dsse, strict_json
from alx.bundle.keys import PublicKey
from alx.errors import MalformedError, TrustError, escape
from alx.records import Strict

SIGNATURE_NAME = "round.sig"
MAX_SIGNATURE_BYTES = 16 << 20  # the digests of MAX_FILES files, twice over in base64, fit in 14 MiB
MAX_SIGNATURE_VALUES = 64  # of the file around the statement, which anybody can write; ours has 13
MAX_FILE_BYTES = (64 << 20) + (1 << 16)  # 64 MiB raw, and what a frame around noise may add
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

ALONE = "."

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SignedFile(Strict):
    """One file of the bundle, as signed."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    algorithm: Literal["sha256"]
    digest: Sha256
    size: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]


class _Serialization(Strict):
    method: Literal["files"]
    hash_type: Literal["sha256"]
    allow_symlinks: Literal[False]
    ignore_paths: list[str]


class _Predicate(Strict):
    serialization: _Serialization
    resources: list[SignedFile]


class _DigestSet(Strict):
    sha256: Sha256


class _Subject(Strict):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    digest: _DigestSet


class _Statement(Strict):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=1)]
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate


class _DsseSignature(Strict):
    keyid: str = ""
    sig: str


class _DsseEnvelope(Strict):
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: Annotated[list[_DsseSignature], Field(min_length=1, max_length=1)]


class _KeyHint(Strict):
    hint: Sha256


class _Material(Strict):
    public_key: _KeyHint = Field(alias="publicKey")
    tlog_entries: Annotated[list[object], Field(max_length=0)] = Field(default_factory=list, alias="tlogEntries")


class _SigstoreBundle(Strict):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    material: _Material = Field(alias="verificationMaterial")
    envelope: _DsseEnvelope = Field(alias="dsseEnvelope")


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """What a verified signature says: evidence, not a bool."""

    name: str
    digest: str
    """SHA-256 over the file digests in the order of their names: what names this bundle in ledgers and manifests."""
    files: dict[str, SignedFile]
    signer: PublicKey


def root_digest(files: list[SignedFile]) -> str:
    """The OMS subject digest: SHA-256 over the raw digests, files sorted by name."""
    ordered = sorted(files, key=lambda f: f.name)
    return hashlib.sha256(b"".join(bytes.fromhex(f.digest) for f in ordered)).hexdigest()


def sign(name: str, files: list[SignedFile], key: ec.EllipticCurvePrivateKey) -> bytes:
    """The bytes of the signature file over `files`.

    Args:
        name: the bundle's name, the statement's subject.
        files: every other file of the bundle.
        key: the sender's private key.
    """
    public = PublicKey(key.public_key())
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": public.fingerprint}, "tlogEntries": []},
        "dsseEnvelope": dsse.envelope(_payload(name, files), PAYLOAD_TYPE, key),
    }
    return dsse.text(document)


def sign_alone(name: str, data: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The bytes of a signature file over one file that is no bundle's, such as a report.

    The statement calls the file `.`, as the public tool does where it is given a file and not a folder. No bundle holds a
    file of that name, so what is signed here cannot be passed off as one.

    Args:
        name: the file's name, the statement's subject.
        data: its bytes.
        key: the site's private key.
    """
    return sign(
        name, [SignedFile(name=ALONE, algorithm="sha256", digest=hashlib.sha256(data).hexdigest(), size=len(data))], key
    )


def _payload(name: str, files: list[SignedFile]) -> bytes:
    """The one form of a statement over `files`: nothing but their names, digests and sizes can stand in it."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root_digest(files)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_NAME],
            },
            "resources": [f.model_dump() for f in sorted(files, key=lambda f: f.name)],
        },
    }
    return json.dumps(statement).encode("utf-8")


def hint(data: bytes) -> str:
    """The fingerprint of the key that the file says it was signed with: a claim, for messages and look-up only.

    Raises:
        LimitError, MalformedError: see `strict_json.parse`; not an OMS key signature.
    """
    return _document(data).material.public_key.hint


def verify(data: bytes, key: PublicKey) -> SignedBundle:
    """Verify a signature file, then parse the very bytes that were verified.

    Args:
        data: `round.sig`.
        key: a key that was pinned by people, never one from the bundle.

    Raises:
        LimitError: larger than `MAX_SIGNATURE_BYTES`.
        TrustError: signed with another key, or not with the key it names.
        MalformedError: no OMS v1.0 key signature over files with SHA-256; what is signed is no alx bundle; it, or the file
            around it, is not in its one form.
    """
    document = _document(data)
    claimed = document.material.public_key.hint
    if claimed != key.fingerprint:
        raise TrustError(
            f"signed with the key {claimed[:16]}…, expected {key.fingerprint[:16]}…",
            "the bundle is not from the pinned peer; ask who made it. If the peer has a new key: alx key accept FILE",
        )
    claim = document.envelope.signatures[0]
    payload, raw = (dsse.decode(encoded, SIGNATURE_NAME) for encoded in (document.envelope.payload, claim.sig))
    dsse.verify(dsse.encoded(payload, document.envelope.payload_type), raw, key, SIGNATURE_NAME)
    signed = _statement(payload, key)
    # Nothing signs what stands around the payload. It has one form, so that a changed byte is never passed over.
    if "keyid" in claim.model_fields_set and claim.keyid != key.fingerprint:
        raise MalformedError(f"{SIGNATURE_NAME} names two keys: '{escape(claim.keyid, 16)}' beside {claimed[:16]}…")
    dsse.require_form(data, document.model_dump(by_alias=True, exclude_unset=True), SIGNATURE_NAME)
    return signed


def _document(data: bytes) -> _SigstoreBundle:
    try:
        value = strict_json.parse(data, SIGNATURE_NAME, MAX_SIGNATURE_BYTES, MAX_SIGNATURE_VALUES)
        return strict_json.validate(_SigstoreBundle, value, f"{SIGNATURE_NAME} is not an OMS key signature")
    except MalformedError as error:  # no signature says yet that anybody made it so
        error.hint = "is the copy whole? copy the bundle again, or name another copy beside it"
        raise


def _statement(payload: bytes, key: PublicKey) -> SignedBundle:
    value = strict_json.parse(payload, "the signed statement", MAX_SIGNATURE_BYTES)
    statement = strict_json.validate(
        _Statement, value, "a valid signature, but the signed statement is not of an alx bundle"
    )
    resources = statement.predicate.resources
    files = {f.name: f for f in resources}
    if len(files) != len(resources):
        raise MalformedError("the signed statement lists a file twice")
    subject = statement.subject[0]
    digest = root_digest(resources)
    if subject.digest.sha256 != digest:
        raise MalformedError("the signed root digest is not that of the signed files")
    if [f.name for f in resources] != sorted(files):
        raise MalformedError("the signed statement lists its files in another order than that of their names")
    ignored = statement.predicate.serialization.ignore_paths
    if ignored != [SIGNATURE_NAME]:
        raise MalformedError(
            f"the signed statement leaves out {len(ignored)} paths, expected '{SIGNATURE_NAME}' and no other"
        )
    if payload != _payload(subject.name, resources):
        raise MalformedError(f"the signed statement {strict_json.ODD}")
    return SignedBundle(subject.name, digest, files, key)
