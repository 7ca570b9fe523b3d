"""DSSE envelopes: bytes and what they are, signed; the only place where a signature is made or verified.

Knows keys and bytes; knows nothing of what is signed. The payload's type is signed with it, so that no signature over a
bundle can be passed off as one over a request or a rotation. What stands around a payload is signed by nobody: it has one
form, so that a changed byte is never passed over.
"""

import base64
import json
from dataclasses import dataclass
from typing import Annotated, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import Field

from alx.bundle import strict_json
from alx.bundle.keys import PublicKey
from alx.errors import MalformedError, TrustError, escape
from alx.records import Strict

MAX_VALUES = 32  # of a signed file around its payload; with two signatures it has 11


class _Signature(Strict):
    keyid: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    sig: str


class _File(Strict):
    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: list[_Signature]


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed file as it came: nothing of it is verified yet but its form.

    Attributes:
        what: its name, for messages.
        payload: what is signed.
        payload_type: what it is said to be, signed too.
        signatures: (r, s) in DER by the fingerprint of the key that is said to have made it, in the file's order.
    """

    what: str
    payload: bytes
    payload_type: str
    signatures: dict[str, bytes]

    def verify(self, key: PublicKey) -> None:
        """Verify the signature of one key.

        Raises:
            TrustError: it did not sign, or not this.
        """
        if key.fingerprint not in self.signatures:
            claimed = " and ".join(f"{name[:16]}…" for name in self.signatures)
            raise TrustError(
                f"{self.what} is signed with the key {claimed}, expected {key.fingerprint[:16]}…",
                "it is not from the pinned peer; ask who made it",
            )
        verify(encoded(self.payload, self.payload_type), self.signatures[key.fingerprint], key, self.what)


def envelope(payload: bytes, payload_type: str, *keys: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """Sign a payload.

    Args:
        payload: the bytes that travel.
        payload_type: a media type.
        keys: one signature each, in this order.

    Returns:
        The envelope as JSON's values.
    """
    message = encoded(payload, payload_type)
    return {
        "payload": _base64(payload),
        "payloadType": payload_type,
        "signatures": [
            {"keyid": PublicKey(key.public_key()).fingerprint, "sig": _base64(key.sign(message, ec.ECDSA(SHA256())))}
            for key in keys
        ],
    }


def encoded(payload: bytes, payload_type: str) -> bytes:
    """What is really signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def verify(message: bytes, signature: bytes, key: PublicKey, what: str) -> None:
    """Verify one ECDSA signature with SHA-256.

    Args:
        message: what was signed.
        signature: (r, s) in DER.
        key: a P-256 key.
        what: where the signature stands, for the message.

    Raises:
        TrustError: it is not that key's signature over that message.
    """
    try:
        key.key.verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature as error:
        raise TrustError(
            f"{what} does not verify with the key {key.fingerprint[:16]}…",
            "somebody changed it, or the copy is damaged: ask for it again",
        ) from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def text(document: object) -> bytes:
    """The one form of a signed file."""
    return json.dumps(document, indent=1).encode("utf-8")


def require_form(data: bytes, document: object, what: str) -> None:
    """Refuse any other form.

    Args:
        data: the file.
        document: what was parsed out of it.
        what: its name, for the message.

    Raises:
        MalformedError: it is not written in its one form.
    """
    if data != text(document):
        raise MalformedError(f"{what} is not written as the format says: one item a line, indented by one space")


def decode(encoded_text: str, what: str) -> bytes:
    """Base64, in its one form.

    Raises:
        MalformedError: it is none, or does not encode back to the same text.
    """
    try:
        data = base64.b64decode(encoded_text, validate=True)
    except ValueError as error:  # binascii.Error, and what is raised for text that is not ASCII
        raise MalformedError(f"{what} is not base64 where it has to be") from error
    if _base64(data) != encoded_text:  # the last character has bits that decode to nothing
        raise MalformedError(f"{what} holds base64 that does not encode back to the same text")
    return data


def parse(data: bytes, payload_type: str, what: str, limit: int, other: str, hint: str) -> Signed:
    """Read a small signed file: an envelope and nothing else.

    Args:
        data: the file.
        payload_type: what it has to be.
        what: its name, for messages: "the request".
        limit: bytes it may have.
        other: the words for a file that is none: "not a request".
        hint: how such a file is made.

    Raises:
        LimitError: larger than `limit`.
        MalformedError: no such file, or not written in its one form.
    """
    value = strict_json.parse(data, what, limit, MAX_VALUES)
    file = strict_json.validate(_File, value, other, hint)
    if file.payload_type != payload_type:
        raise MalformedError(f"{other}: its payloadType is '{escape(file.payload_type)}'", hint)
    signatures = {s.keyid: decode(s.sig, what) for s in file.signatures}
    if len(signatures) != len(file.signatures) or not signatures:
        raise MalformedError(f"{other}: it has no signatures, or two of one key", hint)
    require_form(data, value, what)
    return Signed(what, decode(file.payload, what), payload_type, signatures)
