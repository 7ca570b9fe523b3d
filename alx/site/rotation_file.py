"""A rotation as it travels: one small file in which a site's old key names its new one, signed by both.

Knows keys and bytes; knows no folder. A DSSE envelope with two signatures: the old key's says who comes next, the new
key's shows that it is held by whoever asks. Verified first, then the very bytes that were verified are parsed.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey  # type: ignore[attr-defined]

from alx.bundle import keys, strict_json
from alx.bundle.keys import PublicKey
from alx.bundle.signature import Sha256
from alx.errors import MalformedError, TrustError
from alx.plan import Role, Strict

MAX_ROTATION_BYTES = 16 << 10  # ours has about 1,400
MAX_ROTATION_VALUES = 32
PAYLOAD_TYPE = "application/vnd.alx.rotation+json"
_WHAT = "the rotation file"
_HINT = "make one with alx key rotate"

Pem = Annotated[str, Field(max_length=keys.MAX_PEM_BYTES)]


class RotationFile(Strict):
    """What both keys sign: the payload of the rotation file's envelope."""

    format: Literal["alx-rotation"]
    version: Literal[1]
    plan: Sha256 = Field(description="SHA-256 of plan.toml: the exchange that it is for")
    role: Role = Field(description="of the site whose key is replaced")
    old_key: Pem = Field(description="SubjectPublicKeyInfo PEM of the key that is replaced")
    new_key: Pem = Field(description="SubjectPublicKeyInfo PEM of the key that replaces it")


class _Signature(Strict):
    keyid: Sha256
    sig: Annotated[str, Field(max_length=1024)]


class _Envelope(Strict):
    payload: str
    payload_type: Literal["application/vnd.alx.rotation+json"] = Field(alias="payloadType")
    signatures: Annotated[list[_Signature], Field(min_length=2, max_length=2)]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation whose signatures hold, and the exact bytes that it was read from."""

    file: RotationFile
    old: PublicKey
    new: PublicKey
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def words(self) -> str:
        """Twelve words for the new key, to read out loud."""
        return keys.words(self.new.fingerprint)


def _public(key: PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(key.key, keyid=key.fingerprint)


def make(plan: str, role: Role, old: ec.EllipticCurvePrivateKey, new: ec.EllipticCurvePrivateKey) -> Rotation:
    """Sign a rotation with both private keys.

    Args:
        plan: the plan's digest.
        role: of the site.
        old: the private key that is replaced.
        new: the one that replaces it.
    """
    first, second = PublicKey(old.public_key()), PublicKey(new.public_key())
    file = RotationFile(
        format="alx-rotation", version=1, plan=plan, role=role, old_key=first.pem, new_key=second.pem
    )  # fmt: skip
    envelope = Envelope(file.model_dump_json(indent=1).encode("utf-8"), PAYLOAD_TYPE, {})
    for private, public in ((old, first), (new, second)):
        envelope.sign(CryptoSigner(private, _public(public)))
    return Rotation(file, first, second, _text(envelope))


def _text(envelope: Envelope) -> bytes:
    return json.dumps(envelope.to_dict(), indent=1).encode("utf-8")


def claimed_keys(data: bytes) -> list[str]:
    """The fingerprints of the two keys that the file says it was signed with: claims, for messages and look-up only.

    Raises:
        LimitError, MalformedError: not a rotation file.
    """
    return [s.keyid for s in _envelope(data).signatures]


def verify(data: bytes, old: PublicKey) -> Rotation:
    """Verify a rotation file, then parse the very bytes that were verified.

    Args:
        data: the file.
        old: the key that is to be replaced, as it was pinned.

    Raises:
        LimitError, MalformedError: not a rotation file.
        TrustError: not signed by `old`, or not by the new key as well.
    """
    envelope = _envelope(data)
    try:
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = {s.keyid: base64.b64decode(s.sig, validate=True) for s in envelope.signatures}
    except ValueError as error:  # binascii.Error, and what is raised for text that is not ASCII
        raise MalformedError(f"{_WHAT} is not base64 where it has to be") from error
    _check(payload, signatures, old, "old")
    value = strict_json.parse(payload, "the signed rotation", MAX_ROTATION_BYTES, MAX_ROTATION_VALUES)
    file = strict_json.validate(RotationFile, value, "the signed rotation is not one", _HINT)
    named = keys.parse_public(file.old_key, "the rotation's old key")
    if named.fingerprint != old.fingerprint:
        raise MalformedError("the rotation names another old key than the one that signed it")
    new = keys.parse_public(file.new_key, "the rotation's new key")
    if new.fingerprint == old.fingerprint:
        raise MalformedError("the rotation's new key is its old one")
    _check(payload, signatures, new, "new")
    listed = {keyid: Signature(keyid, raw.hex()) for keyid, raw in signatures.items()}
    if data != _text(Envelope(payload, PAYLOAD_TYPE, listed)):  # nothing signs what stands around: it has one form
        raise MalformedError(f"{_WHAT} is not written as the format says: one item a line, indented by one space")
    return Rotation(file, old, new, data)


def _check(payload: bytes, signatures: dict[str, bytes], key: PublicKey, which: str) -> None:
    raw = signatures.get(key.fingerprint)
    if raw is None:
        raise TrustError(
            f"{_WHAT} is not signed with the {which} key {key.fingerprint[:16]}…",
            "ask the peer for it again; a rotation before this one has to be accepted first",
        )
    signature = Signature(key.fingerprint, raw.hex())
    try:
        Envelope(payload, PAYLOAD_TYPE, {signature.keyid: signature}).verify([_public(key)], 1)
    except VerificationError as error:
        raise TrustError(
            f"{_WHAT} does not verify with the {which} key {key.fingerprint[:16]}…",
            "somebody changed it, or the copy is damaged: ask the peer for it again",
        ) from error


def _envelope(data: bytes) -> _Envelope:
    value = strict_json.parse(data, _WHAT, MAX_ROTATION_BYTES, MAX_ROTATION_VALUES)
    return strict_json.validate(_Envelope, value, f"{_WHAT} is not one", _HINT)
