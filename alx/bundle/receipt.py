"""A receipt: one small file in which the receiver signs that it verified a bundle whole and accepted it.

An in-toto statement in a DSSE envelope, as `round.sig` is, with a predicate type of its own: nobody can pass a receipt off
as a bundle's signature, or the other way round. Knows digests, names and keys; opens no file. It says nothing of what was
chosen.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from alx.bundle import dsse, strict_json
from alx.bundle.dsse import Signed
from alx.bundle.keys import PublicKey
from alx.bundle.manifest import Party
from alx.bundle.signature import PAYLOAD_TYPE, Sha256
from alx.errors import MalformedError
from alx.plan import MAX_ROUNDS
from alx.records import Person, Strict, Time

SUFFIX = ".receipt.json"  # behind the name of the bundle that it is of
MAX_RECEIPT_BYTES = 4096  # ours has at most 1,708: with a name of 100 characters of four bytes each
MAX_VALUES = 32  # ours has 19, as strict_json counts
_HINT = "the peer makes one with alx receipt"


class DigestSet(Strict):
    """What names the bundle."""

    sha256: Sha256 = Field(description="digest of the bundle, as its signature says it, and its label")


class Subject(Strict):
    """The bundle."""

    name: Annotated[str, Field(pattern=r"^alx-[0-9a-f]{8}-r[0-9]{3,}-(learner|provider|closing)$", max_length=64)] = Field(
        description="its folder's name"
    )
    digest: DigestSet


class Acceptance(Strict):
    """Who accepted it from whom, in which exchange, and when."""

    plan: Sha256 = Field(description="SHA-256 of the plan, which names the exchange together with both keys")
    round: Annotated[int, Field(ge=1, le=MAX_ROUNDS)] = Field(description="round that the bundle belongs to")
    sender: Party = Field(description="whose bundle it is, and the key that signed it")
    receiver: Party = Field(description="who accepted it, and signs this with that key")
    accepted: Time | None = Field(description="when, by the receiver's clock; null where its record was rebuilt")
    by: Person | None = Field(description="who took the disk, where somebody was named")


class ReceiptFile(Strict):
    """What the receiver signs."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[list[Subject], Field(min_length=1, max_length=1)]
    predicate_type: Literal["https://alx/receipt/v1"] = Field(alias="predicateType")
    predicate: Acceptance


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a verified receipt says.

    Attributes:
        bundle: name of the bundle.
        digest: the bundle's.
        said: who accepted it from whom, and when.
        file: SHA-256 of the receipt's own bytes.
    """

    bundle: str
    digest: str
    said: Acceptance
    file: str


def name(bundle: str) -> str:
    """The file of a receipt of the bundle of that name."""
    return f"{bundle}{SUFFIX}"


def make(bundle: str, digest: str, said: Acceptance, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The bytes of a receipt.

    Args:
        bundle: name of the bundle that was accepted.
        digest: the bundle's.
        said: the rest of it.
        key: the receiver's private key.
    """
    subject = Subject(name=bundle, digest=DigestSet(sha256=digest))
    statement = ReceiptFile(
        _type="https://in-toto.io/Statement/v1", subject=[subject], predicateType="https://alx/receipt/v1", predicate=said
    )
    return dsse.text(dsse.envelope(strict_json.text(statement), PAYLOAD_TYPE, key))


def claimed(data: bytes) -> str:
    """The fingerprint of the key that a receipt says it was signed with: a claim, for messages and look-up only.

    Raises:
        LimitError, MalformedError: see `verify`.
    """
    return next(iter(_parse(data).signatures))


def verify(data: bytes, key: PublicKey) -> Receipt:
    """Verify a receipt, then parse the very bytes that were verified.

    Args:
        data: the file.
        key: a key that was pinned by people.

    Raises:
        LimitError: larger than `MAX_RECEIPT_BYTES`.
        TrustError: signed with another key, or not with the key it names.
        MalformedError: no receipt, or not written in its one form.
    """
    signed = _parse(data)
    signed.verify(key)
    said = _payload(signed.payload)
    if len(signed.signatures) != 1:
        raise MalformedError("the receipt has more than one signature, expected its receiver's alone")
    if said.predicate.receiver.key != key.fingerprint:
        raise MalformedError(
            f"the receipt names the receiver's key {said.predicate.receiver.key[:16]}…, and is signed with "
            f"{key.fingerprint[:16]}…"
        )
    about = said.subject[0]
    return Receipt(about.name, about.digest.sha256, said.predicate, hashlib.sha256(data).hexdigest())


def _parse(data: bytes) -> Signed:
    return dsse.parse(data, PAYLOAD_TYPE, "the receipt", MAX_RECEIPT_BYTES, "not a receipt", _HINT)


def _payload(payload: bytes) -> ReceiptFile:
    value = strict_json.parse(payload, "the receipt", MAX_RECEIPT_BYTES, MAX_VALUES)
    said = strict_json.validate(ReceiptFile, value, "what is signed is no receipt", _HINT)
    strict_json.require_form(payload, said, "the receipt's payload")
    return said
