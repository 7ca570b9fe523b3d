"""A request for the files that came damaged: one small file, signed by the receiver, carried back to the sender.

A DSSE envelope, ECDSA P-256 and SHA-256, with a payload type of its own: nobody can pass a request off as a bundle's
statement, or the other way round. Knows digests, names and keys; opens no file.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from alx.bundle import dsse, strict_json
from alx.bundle.keys import PublicKey
from alx.bundle.layout import DATA_FOLDER, NAME
from alx.bundle.signature import SIGNATURE_NAME, Sha256
from alx.errors import ForbiddenFileError, MalformedError, escape
from alx.records import Strict

PAYLOAD_TYPE = "application/vnd.alx.request+json"
MAX_NAMES = 10_000  # beyond that the whole bundle is as good as a repair
MAX_REQUEST_BYTES = 1 << 20  # MAX_NAMES names of 69 characters, in base64
_HINT = "make one with import-and-select --request"
_FRAME_VALUES = 5  # of the payload, beside the names, as strict_json counts


class RequestFile(Strict):
    """The payload: which files of which bundle."""

    format: Literal["alx-request"]
    version: Literal[1]
    bundle: Sha256 = Field(description="digest of the bundle, as its signature says it")
    files: Annotated[list[str], Field(min_length=1, max_length=MAX_NAMES)] = Field(
        description="names of signed files, in their order, each once; round.sig is never asked for, it always comes"
    )


@dataclass(frozen=True, slots=True)
class Request:
    """What a verified request says."""

    bundle: str
    files: tuple[str, ...]
    digest: str
    """SHA-256 of the payload: what names the request."""


def make(bundle: str, names: Iterable[str], key: ec.EllipticCurvePrivateKey) -> bytes:
    """The bytes of a request.

    Args:
        bundle: the bundle's digest.
        names: the files to bring, at most `MAX_NAMES`.
        key: the receiver's private key.
    """
    said = RequestFile(format="alx-request", version=1, bundle=bundle, files=sorted(names))
    return dsse.text(dsse.envelope(strict_json.text(said), PAYLOAD_TYPE, key))


def verify(data: bytes, key: PublicKey) -> Request:
    """Verify a request, then parse the very bytes that were verified.

    Args:
        data: the file.
        key: a key that was pinned by people.

    Raises:
        LimitError: larger than `MAX_REQUEST_BYTES`, or more names than `MAX_NAMES`.
        TrustError: signed with another key, or not with the key it names.
        MalformedError: no request, or not written in its one form.
        ForbiddenFileError: a name that no bundle has.
    """
    signed = dsse.parse(data, PAYLOAD_TYPE, "the request", MAX_REQUEST_BYTES, "not a request for files", _HINT)
    signed.verify(key)
    return _payload(signed.payload)


def _payload(payload: bytes) -> Request:
    value = strict_json.parse(payload, "the request", MAX_REQUEST_BYTES, MAX_NAMES + _FRAME_VALUES)
    said = strict_json.validate(RequestFile, value, "what is signed is no request for files")
    for name in said.files:
        if not NAME.fullmatch(name.removeprefix(f"{DATA_FOLDER}/")) or name == SIGNATURE_NAME:
            raise ForbiddenFileError(f"'{escape(name)}' is asked for, but a name that no bundle's signature lists")
    if said.files != sorted(set(said.files)):
        raise MalformedError("the request's names are not in their order, or one is there twice")
    strict_json.require_form(payload, said, "the request's payload")
    return Request(said.bundle, tuple(said.files), hashlib.sha256(payload).hexdigest())
