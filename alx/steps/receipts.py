"""Receipts: this site's of the peer's last bundle, and the peer's of this site's.

Knows the ledger, the event log and the signed file; knows no bundle's inside. A receipt is made where the next bundle is
sealed, as the private key is at hand there, and lies in `receipts/` until it goes beside that bundle on a disk.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from alx import files
from alx.bundle import carried, receipt
from alx.bundle.manifest import Party
from alx.bundle.receipt import MAX_RECEIPT_BYTES, Acceptance, Receipt
from alx.errors import (
    AlxError,
    CorruptError,
    MalformedError,
    PeerError,
    RollbackError,
    StaleError,
    TurnError,
    UsageError,
    escape,
)
from alx.site import events, handed_over
from alx.site.entries import Accepted, Given, Media, Received, Reset, Sealed
from alx.site.handed_over import HandedOver
from alx.site.site import RECEIPTS, Site
from alx.site.state import SiteState
from alx.steps import read_back


@dataclass(frozen=True, slots=True)
class Taken:
    """A receipt of the peer's that was read.

    Attributes:
        record: what the ledger says of it.
        again: it was read before, or another one of the same bundle was, and nothing changed.
        other: what this one says, where it is another one than what was read first.
    """

    record: Received
    again: bool
    other: Acceptance | None = None


def make(now: SiteState, key: ec.EllipticCurvePrivateKey, by: str | None = None) -> tuple[Accepted, bytes]:
    """The receipt of the peer's bundle that was accepted last.

    Args:
        now: this site, locked by the caller.
        key: its private key.
        by: who took the disk; None for whoever the import was said to be by.

    Raises:
        TurnError: nothing was accepted yet.
        LedgerError: see `events.read`.
    """
    if not now.position.accepted:
        raise TurnError(
            "nothing was accepted yet: there is nothing to give a receipt of", f"next: {now.position.next_command}"
        )
    turn = now.position.accepted[-1]
    at, person = _when(now, turn)
    said = Acceptance(
        plan=now.site.plan_file.digest,
        round=turn.round,
        sender=Party(role=now.peer.file.role, key=now.keyring.signers[turn.digest].fingerprint),
        receiver=Party(role=now.site.role, key=now.public_key.fingerprint),
        accepted=at,
        by=by or person,
    )
    return turn, receipt.make(turn.bundle, turn.digest, said, key)


def _when(now: SiteState, turn: Accepted) -> tuple[str | None, str | None]:
    """When a bundle was accepted here, and who was said to import it; None where nobody knows."""
    entry = next(e.line.digest for e in now.entries if e.record == turn)
    person = None
    for event in events.read(now.site.events_path):
        if isinstance(event.record, Media) and event.record.use == "import":
            person = event.record.by
        if event.entry == entry:
            return (None, None) if event.by_reset else (event.at, person)
    return None, None


def keep(now: SiteState, key: ec.EllipticCurvePrivateKey) -> None:
    """Make the receipt that goes with the bundle which is being sealed, where that answers one.

    Raises:
        SpaceError, StorageError: see `files.storage`.
    """
    if now.position.accepted:
        turn, data = make(now, key)
        _store(now.site, turn.bundle, data)


def _store(site: Site, bundle: str, data: bytes) -> None:
    path = _path(site, bundle)
    files.make_folder(path.parent)
    files.sync_folder(site.folder)
    files.replace(path, data)


def put(now: SiteState, disk: Path) -> Path | None:
    """Write the receipt of the peer's last bundle beside this site's own on a disk; where it lies, if there is one.

    Raises:
        CorruptError: what was read back is not what was written.
        SpaceError, StorageError: see `files.storage`.
    """
    if not now.position.accepted:
        return None
    bundle = now.position.accepted[-1].bundle
    kept, target = _path(now.site, bundle), disk / receipt.name(bundle)
    with files.storage(kept):
        if not kept.is_file():  # of a bundle that was sealed before there were receipts
            return None
    for place in (target, files.temporary(target)):
        with files.storage(place):
            if place.is_dir():  # whatever else has its name is replaced
                files.remove_tree(place)
    data = files.read(kept, MAX_RECEIPT_BYTES)
    try:
        said = _own(now, data)
    except AlxError:  # damaged here: what this site did not sign does not leave, and the bundle needs no receipt
        return None
    _write(now, said, target, data)
    read_back.require(target, data)
    return target


def write(now: SiteState, path: Path, by: str | None = None) -> Accepted:
    """Write a receipt of the peer's bundle that was accepted last into a file, and into the event log that it was; of which.

    Args:
        now: this site, locked by the caller.
        path: the file.
        by: see `make`.

    Raises:
        AlxError: see `make` and `SiteState.private_key`.
        SpaceError, StorageError: see `files.storage`.
    """
    turn, data = make(now, now.private_key(), by)
    _write(now, _own(now, data), path, data)
    return turn


def _own(now: SiteState, data: bytes) -> Receipt:
    """What a receipt of this site's says.

    Raises:
        LimitError, TrustError, MalformedError: see `receipt.verify`.
    """
    signer = receipt.claimed(data)
    return receipt.verify(data, next((k for k in now.keyring.own if k.fingerprint == signer), now.public_key))


def _write(now: SiteState, found: Receipt, path: Path, data: bytes) -> None:
    """Write this site's receipt; what it tells the peer is in the event log before the file has its name."""
    said = found.said
    made = Given(said.round, found.bundle, found.digest, escape(path.name), said.accepted, said.by)
    with files.replacing_all({path: data}, shared=True):
        events.record(now.site.events_path, made)


def _path(site: Site, bundle: str) -> Path:
    return site.folder / RECEIPTS / receipt.name(bundle)


def find(now: SiteState, place: Path) -> Path:
    """The file of a receipt: what was named, or on a disk that was named the one of the bundle handed over last.

    Raises:
        TurnError: nothing was handed over yet.
        UsageError: it is not on that disk.
    """
    with files.storage(place):
        if not place.is_dir():
            return place
        path = place / _awaited(now)
        if not os.path.lexists(path):
            raise UsageError(
                f"there is no receipt '{path.name}' in '{escape(str(place), 200)}'",
                "is it the disk that came back? the peer's next export puts it there; or ask for the file of alx receipt -o",
            )
        return path


def _awaited(now: SiteState) -> str:
    gone = _gone(now)
    if not gone:
        raise TurnError("nothing was handed over yet: no receipt can be of it", f"next: {now.position.next_command}")
    return receipt.name(gone[-1].turn.bundle)


def take(now: SiteState, path: Path) -> Taken:
    """Verify the peer's receipt of the bundle that this site handed over last, keep it, and record it in the ledger.

    The same one again changes nothing, and so does another one of the same bundle. Killed in between, the same call goes on.

    Args:
        now: this site, locked by the caller.
        path: the file.

    Raises:
        UsageError, ForbiddenFileError: see `carried.read_file`.
        LimitError, TrustError, MalformedError: see `receipt.verify`; or by a key that the peer has replaced.
        TurnError: this site has no peer yet.
        PeerError: of a bundle by another key, or under another plan; or it is this site's own.
        StaleError: of a bundle that this site never sealed.
        TurnError: of one that it sealed, and never handed over.
        RollbackError: of one before the last; its answer told already that it came.
    """
    data = carried.read_file(path, MAX_RECEIPT_BYTES)
    _ = now.peer  # there is one
    signer = receipt.claimed(data)
    if any(key.fingerprint == signer for key in now.keyring.own):
        raise PeerError(
            "the receipt is one of this site's own, of a bundle of the peer's",
            "carry it to the peer, or send it; alx receipt --read is for the peer's receipts",
        )
    key = now.keyring.of_peer(signer)
    found = receipt.verify(data, key)
    now.keyring.require_current(key)
    turn = _check(now, found)
    known = next((e.record for e in now.entries if isinstance(e.record, Received) and e.record.digest == turn.digest), None)
    if known is not None:
        return Taken(known, again=True, other=found.said if found.file != known.receipt else None)
    _store(now.site, turn.bundle, data)
    said = found.said
    made = Received(turn.round, turn.bundle, turn.digest, said.receiver.key, found.file, said.accepted, said.by)
    now.append(made)
    return Taken(made, again=False)


def _check(now: SiteState, found: Receipt) -> Sealed:
    """The bundle that a receipt is of, if it is the one that was handed over last."""
    said = found.said
    for what, got, expected in (
        ("plan", said.plan, now.site.plan_file.digest),
        ("sender's role", said.sender.role, now.site.role),
        ("receiver's role", said.receiver.role, now.peer.file.role),
    ):
        if got != expected:
            raise PeerError(
                f"the receipt's {what} is {got[:16]}, expected {expected[:16]}", "is it meant for this site and this plan?"
            )
    turn = next((s for s in now.position.sealed if s.digest == found.digest), None)
    if turn is None:
        raise StaleError(
            f"the receipt is of a bundle of digest {found.digest[:16]}…, which this site never sealed",
            "is it for another site of yours? is this site's ledger an old backup?",
        )
    signer = now.keyring.signers[turn.digest].fingerprint
    if (found.bundle, said.round, said.sender.key) != (turn.bundle, turn.round, signer):
        raise MalformedError(
            f"the receipt has the digest of '{turn.bundle}', and the name, round or key of another bundle", "ask the peer"
        )
    gone = [each.turn for each in _gone(now)]
    if turn not in gone:
        if any(isinstance(e.record, Reset) and e.record.bundles is not None for e in now.entries):
            raise TurnError(
                f"the receipt is of the {turn.what}, and this site's ledger, which was rebuilt, does not know that it left",
                "run alx export once more, to any disk, which records it; then read the receipt again",
            )
        raise TurnError(
            f"the receipt is of the {turn.what}, which this site never handed over",
            "was it copied by hand? alx export records that it was handed over; then read the receipt again",
        )
    if turn != gone[-1]:
        raise RollbackError(
            f"the receipt is of the {turn.what}, which the peer has answered since; the last one handed over is the "
            f"{gone[-1].what}",
            "is it an old receipt? ask the peer for the newest",
        )
    return turn


def _gone(now: SiteState) -> list[HandedOver]:
    return handed_over.of((e.record, None) for e in now.entries)


def beside(now: SiteState, bundles: Iterable[Path]) -> tuple[Taken | None, AlxError | None]:
    """Take the peer's receipt that lies beside its bundle, if one is there: never a reason to refuse the bundle.

    Args:
        now: this site, locked by the caller, after the bundle was accepted.
        bundles: folders of the bundle, as they were named.

    Returns:
        What was read; and why a receipt that is there was refused, which the event log has too, where no other was good.
    """
    gone, why = _gone(now), None
    for place in dict.fromkeys(files.named(each).parent for each in bundles) if gone else ():
        path = place / receipt.name(gone[-1].turn.bundle)
        if os.path.lexists(path):
            try:
                return take(now, path), None
            except AlxError as error:
                events.refused(now.site.events_path, "receipt --read", path.name, error)
                why = error
    return None, why


def check(now: SiteState) -> None:
    """The receipts that the ledger names lie here as they were read.

    Raises:
        CorruptError: one is gone or was changed.
        LimitError, StorageError: see `files.read`.
    """
    for entry in now.entries:
        if isinstance(entry.record, Received):
            path = _path(now.site, entry.record.bundle)
            data = files.read(path, MAX_RECEIPT_BYTES) if path.is_file() else b""
            if hashlib.sha256(data).hexdigest() != entry.record.receipt:
                raise CorruptError(
                    f"'{path}' is not the receipt that entry {entry.line.number} of the ledger names",
                    "restore the site from its backup",
                )
