"""Which key was current when: a site's own and its peer's, from the first to the last, told from the ledger's order.

Knows keys, rotation files and entries; knows no bundle. Every key after the first comes with the rotation file that the
one before it signed: `rotations/<fingerprint of the old key>.json`, so that a bundle of before still verifies.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alx import files
from alx.bundle import identity, keys, rotation
from alx.bundle.identity import IDENTITY_NAME, Identity
from alx.bundle.keys import PublicKey
from alx.bundle.rotation import Rotation
from alx.errors import CorruptError, LedgerError, TrustError
from alx.site.entries import Accepted, Created, Paired, PeerRotated, Renewal, Rotated, Sealed
from alx.site.ledger import Entry

KEY_NAME = "key.pem"
PUBLIC_NAME = "public.pem"
PEER_NAME = "peer.json"
PEER_KEY_NAME = "peer.pem"
_NEXT = re.compile(r"key\.[0-9a-f]{16}\.pem|peer\.[0-9a-f]{16}\.json")
_RESTORE = "restore the site from its backup"


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of both sides, oldest first, the last of each being current.

    Attributes:
        own: this site's.
        peer: the pinned peer's; empty where none is pinned.
        signers: the key with which each bundle of the ledger was signed, by the bundle's digest.
    """

    own: tuple[PublicKey, ...]
    peer: tuple[PublicKey, ...]
    signers: dict[str, PublicKey]

    def of_peer(self, fingerprint: str) -> PublicKey:
        """The peer's key of that fingerprint, replaced or not; the current one where there is none of it."""
        return next((k for k in self.peer if k.fingerprint == fingerprint), self.peer[-1])

    def require_current(self, key: PublicKey) -> None:
        """Refuse what is new and signed with a key of the peer that was replaced.

        Raises:
            TrustError: it was replaced.
        """
        if key.fingerprint != self.peer[-1].fingerprint:
            raise TrustError(
                f"signed with the key {key.fingerprint[:16]}…, which the peer has replaced, "
                f"expected {self.peer[-1].fingerprint[:16]}…",
                "whoever took the old key could have made it: ask the peer",
            )


def of(folder: Path, entries: Sequence[Entry], own: Callable[[], Identity | None], peer: Callable[[], Identity]) -> Keyring:
    """The keys that the ledger tells of.

    Args:
        folder: the site's.
        entries: the whole ledger.
        own: how this site introduced itself, or None where it has no identity file; asked where its key was replaced.
        peer: the pinned peer as it introduced itself; asked where there is one.

    Raises:
        TrustError: a key's file is not the key that the ledger names.
        CorruptError: the file of a key or of a rotation is gone or was changed.
    """
    rotated = any(isinstance(e.record, Rotated) for e in entries)
    keys_own = [_introduced(folder, own()) if rotated else keys.load_public(folder / PUBLIC_NAME)]
    created = entries[0].record
    if not isinstance(created, Created) or keys_own[0].fingerprint != created.key:
        where = IDENTITY_NAME if rotated else PUBLIC_NAME
        raise TrustError(f"'{where}' does not hold the key that the ledger names", _RESTORE)
    paired = max((e.line.number for e in entries if isinstance(e.record, Paired)), default=None)
    keys_peer: list[PublicKey] = []
    signers = {}
    for e in entries:
        match e.record:
            case Paired() if e.line.number == paired:
                keys_peer = [peer().key]
            case Rotated():
                keys_own.append(read_rotation(folder, keys_own[-1], e).new)
            case PeerRotated() if keys_peer:
                keys_peer.append(read_rotation(folder, keys_peer[-1], e).new)
            case Sealed(digest=digest):
                signers[digest] = keys_own[-1]
            case Accepted(digest=digest):
                signers[digest] = keys_peer[-1]
    return Keyring(tuple(keys_own), tuple(keys_peer), signers)


def _introduced(folder: Path, own: Identity | None) -> PublicKey:
    if own is None:
        raise CorruptError(f"'{folder / IDENTITY_NAME}' is gone", _RESTORE)
    return own.key


def pinned(folder: Path, pairing: Paired) -> Identity:
    """The peer as it introduced itself: the file that was compared, unchanged since.

    Args:
        folder: the site's.
        pairing: what the ledger records.

    Raises:
        LedgerError: peer.json is not the file that was pinned.
    """
    for path in (folder / PEER_NAME, next_peer(folder, pairing.identity)):
        if path.is_file():
            data = files.read(path, identity.MAX_IDENTITY_BYTES)
            if hashlib.sha256(data).hexdigest() == pairing.identity:
                return identity.parse(data)
    raise LedgerError(f"{PEER_NAME} is not the file that was pinned", f"run alx pair with that file again, or {_RESTORE}")


def rotation_path(folder: Path, old: PublicKey) -> Path:
    """Where the rotation lies by which a key was replaced."""
    return folder / "rotations" / f"{old.fingerprint}.json"


def read_rotation(folder: Path, old: PublicKey, entry: Entry) -> Rotation:
    """The rotation that an entry of the ledger names, verified.

    Raises:
        CorruptError: it is gone, or another one.
    """
    path = rotation_path(folder, old)
    data = files.read(path, rotation.MAX_ROTATION_BYTES) if path.is_file() else b""
    if not isinstance(entry.record, Renewal) or hashlib.sha256(data).hexdigest() != entry.record.file:
        raise CorruptError(f"'{path}' is not the rotation that entry {entry.line.number} of the ledger names", _RESTORE)
    return rotation.verify(data, old)


def next_path(folder: Path, new: PublicKey) -> Path:
    """Where a new private key lies until it takes the old one's place."""
    return folder / f"key.{new.fingerprint[:16]}.pem"


def next_peer(folder: Path, digest: str) -> Path:
    """Where a peer's identity file lies until it takes the place of `peer.json`."""
    return folder / f"peer.{digest[:16]}.json"


def unsettled(folder: Path) -> bool:
    """Whether a new private key, or a new peer, waits to take the old one's place, or was made for nothing."""
    with files.storage(folder):
        return any(_NEXT.fullmatch(path.name) for path in folder.iterdir())


def clear(folder: Path) -> None:
    """Remove what rotations and pairings left that were killed before the ledger knew of them; nobody else's files."""
    with files.storage(folder):
        for path in folder.iterdir():
            if _NEXT.fullmatch(path.name) and path.is_file():
                path.unlink()


def settle(folder: Path, ring: Keyring, pairing: Paired | None) -> None:
    """Finish a rotation or a pairing that the ledger knows of: the new file takes the old one's place, unless it did."""
    waiting = [(next_path(folder, ring.own[-1]), KEY_NAME, PUBLIC_NAME, ring.own[-1])]
    if pairing is not None:
        waiting.append((next_peer(folder, pairing.identity), PEER_NAME, PEER_KEY_NAME, ring.peer[-1]))
    for path, name, public_name, public in waiting:
        if name == PEER_NAME and pairing is not None and path.is_file():
            data = files.read(path, identity.MAX_IDENTITY_BYTES)
            if hashlib.sha256(data).hexdigest() != pairing.identity:  # made for nothing, or damaged
                files.remove_tree(path)
        if path.is_file():
            files.replace(folder / public_name, public.pem.encode("ascii"))
            with files.storage(path):
                path.replace(folder / name)
            files.sync_folder(folder)
