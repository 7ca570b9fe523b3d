"""An officer's approval of a bundle: one small signed file, which travels in a folder beside it.

A DSSE envelope, as requests and rotations are, with a payload type of its own. Knows keys, digests and bytes; knows no plan:
whose approval counts is for the caller. The plan names an officer's key by its fingerprint, so the key itself stands in the
payload, and a bounded parser reads that before the signature can be verified.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from alx import files
from alx.bundle import carried, dsse, keys, strict_json
from alx.bundle.keys import PublicKey
from alx.bundle.signature import Sha256
from alx.errors import ForbiddenFileError, LimitError, MalformedError, TrustError, escape
from alx.officers import MAX_OFFICERS, Officers
from alx.records import Strict

PAYLOAD_TYPE = "application/vnd.alx.approval+json"
SUFFIX = ".approvals"  # of the folder beside a bundle
MAX_APPROVAL_BYTES = 4096  # ours has about 900
MAX_VALUES = 32
_BEGUN = re.compile(r"\.[0-9a-f]{64}\.json\.tmp")  # of an officer who approves just now, or was stopped in it
_HINT = "make one with alx approve"
_DROP = "delete it, if as many others approve as the plan asks for"


class ApprovalFile(Strict):
    """What an officer signs."""

    format: Literal["alx-approval"]
    version: Literal[1]
    bundle: Sha256 = Field(description="digest of the bundle, as its signature says it")
    officer: Annotated[str, Field(max_length=keys.MAX_PEM_BYTES)] = Field(description="SubjectPublicKeyInfo PEM")


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval whose signature holds, and the exact bytes that it was read from."""

    bundle: str
    officer: PublicKey
    data: bytes

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.officer.fingerprint}.json"


def make(bundle: str, key: ec.EllipticCurvePrivateKey) -> Approval:
    """Approve the bundle of that digest."""
    officer = PublicKey(key.public_key())
    said = ApprovalFile(format="alx-approval", version=1, bundle=bundle, officer=officer.pem)
    return Approval(bundle, officer, dsse.text(dsse.envelope(strict_json.text(said), PAYLOAD_TYPE, key)))


def verify(data: bytes, officers: Officers | None = None) -> Approval:
    """Read an approval.

    Args:
        data: the file.
        officers: of the plan; None takes anybody's.

    Raises:
        LimitError: larger than `MAX_APPROVAL_BYTES`.
        TrustError: by a key that is none of theirs, or not signed by it.
        MalformedError: no approval, or not written in its one form.
    """
    signed = dsse.parse(data, PAYLOAD_TYPE, "the approval", MAX_APPROVAL_BYTES, "not an approval", _HINT)
    value = strict_json.parse(signed.payload, "the approval", MAX_APPROVAL_BYTES, MAX_VALUES)
    said = strict_json.validate(ApprovalFile, value, "what is signed is no approval", _HINT)
    officer = keys.parse_public(said.officer, "the approval's key")
    if officers is not None:
        refuse_stranger(officer, officers, "approved with")
    signed.verify(officer)
    if len(signed.signatures) != 1:
        raise MalformedError("the approval has more than one signature, expected its officer's alone")
    strict_json.require_form(signed.payload, said, "the approval's payload")
    if said.officer != officer.pem:
        raise MalformedError("the approval's key is not written in the one form of a PEM public key")
    return Approval(said.bundle, officer, data)


def folder(bundle: Path, name: str) -> Path:
    """Where the approvals of a bundle of that name lie: beside its folder, or that of a share of it."""
    return bundle.with_name(name + SUFFIX)


def put(place: Path, found: Iterable[Approval]) -> None:
    """Write approvals into the folder of a bundle's, which is made unless it is there.

    Raises:
        ForbiddenFileError: it is a link.
        SpaceError, StorageError: see `files.storage`.
    """
    _refuse_link(place)
    files.make_folder(place, shared=True)
    files.sync_folder(place.parent)
    files.replace_all({place / each.name: each.data for each in found}, shared=True)


def collected(folders: Iterable[Path], bundle: str, officers: Officers) -> dict[str, Approval]:
    """The approvals of a bundle, by the officer's fingerprint; what is not written to its end is none, and is passed over.

    Args:
        folders: where they may lie.
        bundle: its digest.
        officers: of its sender, by the plan.

    Raises:
        ForbiddenFileError: a name that no approval has, a link, or no plain file.
        LimitError: too many files, or one too large.
        TrustError: a key that is none of theirs, or approves another bundle.
        MalformedError: no approval, or an officer's a second time under another name.
        StorageError: see `files.storage`.
    """
    out: dict[str, Approval] = {}
    for place in folders:
        for name in _names(place):
            data = carried.read_file(place / name, MAX_APPROVAL_BYTES)
            try:
                found = verify(data, officers)
            except (LimitError, TrustError, MalformedError) as error:
                raise error.within(f"'{escape(name)}'", f"{error.hint}; {_DROP}" if error.hint else _DROP) from error
            if found.bundle != bundle:
                raise TrustError(
                    f"'{escape(name)}' approves a bundle of digest {found.bundle[:16]}…, expected {bundle[:16]}…",
                    "is it of another round? delete it, and let the officer approve this bundle",
                )
            if name != found.name:
                raise MalformedError(
                    f"'{escape(name)}' is the approval of the officer {found.officer.fingerprint[:16]}…, whose file has "
                    "another name: each counts once",
                    f"it should be called {found.name}",
                )
            out[found.officer.fingerprint] = found
    return out


def _names(place: Path) -> list[str]:
    _refuse_link(place)
    with files.storage(place):
        if not place.is_dir():
            return []
        names = []
        with os.scandir(place) as entries:
            for entry in entries:
                if _BEGUN.fullmatch(entry.name):
                    continue
                names.append(entry.name)
                if len(names) > MAX_OFFICERS:
                    raise LimitError(f"more than {MAX_OFFICERS} files in '{escape(place.name)}'")
    return sorted(names)


def _refuse_link(place: Path) -> None:
    with files.storage(place):
        if place.is_symlink():
            raise ForbiddenFileError(f"'{escape(place.name)}' is a symbolic link", "name no link: copy the folder")


def refuse_stranger(key: PublicKey, officers: Officers, what: str) -> None:
    """The key is one of theirs.

    Args:
        key: that signed, or is to sign.
        officers: of the plan.
        what: was done with it, for people.

    Raises:
        TrustError: it is not.
    """
    if key.fingerprint not in officers.keys:
        raise TrustError(
            f"{what} the key {key.fingerprint[:16]}…, which is no officer's of the plan",
            "an officer's key is changed through a new plan only",
        )


def refuse_few(found: int, officers: Officers, hint: str, *, to_come: bool = False) -> None:
    """The threshold is met.

    Raises:
        TrustError: it is not.
    """
    if found < officers.threshold:
        raise TrustError(
            f"{found} of {officers.threshold} approvals are there that the plan asks for, of {len(officers.keys)} officers",
            hint,
            to_come=to_come,
        )
