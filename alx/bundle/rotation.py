"""A rotation as it travels: one small file in which a site's old key names its new one, signed by both.

Knows keys and bytes; knows no folder. A DSSE envelope with two signatures: the old key's says who comes next, the new
key's shows that it is held by whoever asks. Verified first, then the very bytes that were verified are parsed.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from alx.bundle import dsse, keys, strict_json
from alx.bundle.dsse import Signed
from alx.bundle.keys import PublicKey
from alx.bundle.signature import Sha256
from alx.errors import MalformedError, count
from alx.records import Role, Strict

MAX_ROTATION_BYTES = 16 << 10  # ours has about 1,400
MAX_ROTATION_VALUES = 32
PAYLOAD_TYPE = "application/vnd.alx.rotation+json"
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


def make(plan: str, role: Role, old: ec.EllipticCurvePrivateKey, new: ec.EllipticCurvePrivateKey) -> Rotation:
    """Sign a rotation with both private keys.

    Args:
        plan: the plan's digest.
        role: of the site.
        old: the private key that is replaced.
        new: the one that replaces it.
    """
    first, second = PublicKey(old.public_key()), PublicKey(new.public_key())
    file = RotationFile(format="alx-rotation", version=1, plan=plan, role=role, old_key=first.pem, new_key=second.pem)
    signed = dsse.envelope(strict_json.text(file), PAYLOAD_TYPE, old, new)
    return Rotation(file, first, second, dsse.text(signed))


def claimed_keys(data: bytes) -> list[str]:
    """The fingerprints of the two keys that the file says it was signed with: claims, for messages and look-up only.

    Raises:
        LimitError, MalformedError: not a rotation file.
    """
    return list(_parse(data).signatures)


def verify(data: bytes, old: PublicKey) -> Rotation:
    """Verify a rotation file, then parse the very bytes that were verified.

    Args:
        data: the file.
        old: the key that is to be replaced, as it was pinned.

    Raises:
        LimitError, MalformedError: not a rotation file.
        TrustError: not signed by `old`, or not by the new key as well.
    """
    signed = _parse(data)
    signed.verify(old)
    value = strict_json.parse(signed.payload, "the signed rotation", MAX_ROTATION_BYTES, MAX_ROTATION_VALUES)
    file = strict_json.validate(RotationFile, value, "the signed rotation is not one", _HINT)
    strict_json.require_form(signed.payload, file, "the signed rotation")
    named = keys.parse_public(file.old_key, "the rotation's old key")
    if named.fingerprint != old.fingerprint:
        raise MalformedError("the rotation names another old key than the one that signed it")
    new = keys.parse_public(file.new_key, "the rotation's new key")
    if (file.old_key, file.new_key) != (named.pem, new.pem):
        raise MalformedError("a key of the rotation is not written in the one form of a PEM public key")
    if new.fingerprint == old.fingerprint:
        raise MalformedError("the rotation's new key is its old one")
    signed.verify(new)
    if list(signed.signatures) != [old.fingerprint, new.fingerprint]:
        raise MalformedError("the rotation file's signatures are in another order than the old key's and the new key's")
    return Rotation(file, old, new, data)


def _parse(data: bytes) -> Signed:
    signed = dsse.parse(data, PAYLOAD_TYPE, "the rotation file", MAX_ROTATION_BYTES, "not a rotation file", _HINT)
    if len(signed.signatures) != 2:  # noqa: PLR2004 - the old key's and the new one's
        raise MalformedError(f"the rotation file has {count(len(signed.signatures), 'signature')}, expected 2")
    return signed
