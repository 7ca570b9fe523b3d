"""Which key was current when: a site's own and its peer's, from the first to the last, told from the ledger's order.

Knows keys, rotation files and entries; knows no bundle. Every key after the first comes with the rotation file that the
one before it signed: `rotations/<fingerprint of the old key>.json`, so that a bundle of before still verifies.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alx import files
from alx.bundle import identity, keys, rotation
from alx.bundle.identity import IDENTITY_NAME, Identity
from alx.bundle.keys import PublicKey
from alx.bundle.rotation import Rotation
from alx.errors import CorruptError, LedgerError, TrustError
from alx.site.chain import Entry

KEY_NAME = "key.pem"
PUBLIC_NAME = "public.pem"
PEER_NAME = "peer.json"
PEER_KEY_NAME = "peer.pem"
_NEXT = re.compile(r"key\.[0-9a-f]{16}\.pem")
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


def of(folder: Path, entries: Sequence[Entry]) -> Keyring:
    """The keys that the ledger tells of.

    Args:
        folder: the site's.
        entries: the whole ledger.

    Raises:
        TrustError: a key's file is not the key that the ledger names.
        CorruptError: the file of a key or of a rotation is gone or was changed.
    """
    rotated = any(e.kind == "rotated" for e in entries)
    own = [_introduced(folder) if rotated else keys.load_public(folder / PUBLIC_NAME)]
    if own[0].fingerprint != entries[0].body["key"]:
        where = IDENTITY_NAME if rotated else PUBLIC_NAME
        raise TrustError(f"'{where}' does not hold the key that the ledger names", _RESTORE)
    paired = max((e.number for e in entries if e.kind == "paired"), default=None)
    peer: list[PublicKey] = []
    signers = {}
    for e in entries:
        if e.number == paired:
            peer = [pinned(folder, e).key]
        elif e.kind == "rotated":
            own.append(read_rotation(folder, own[-1], e).new)
        elif e.kind == "peer-rotated" and peer:
            peer.append(read_rotation(folder, peer[-1], e).new)
        elif e.kind == "sealed":
            signers[e.body["digest"]] = own[-1]
        elif e.kind == "accepted":
            signers[e.body["digest"]] = peer[-1]
    return Keyring(tuple(own), tuple(peer), signers)


def _introduced(folder: Path) -> PublicKey:
    path = folder / IDENTITY_NAME
    if not path.is_file():
        raise CorruptError(f"'{path}' is gone", _RESTORE)
    return identity.parse(files.read(path, identity.MAX_IDENTITY_BYTES)).key


def pinned(folder: Path, entry: Entry) -> Identity:
    """The peer as it introduced itself: the file that was compared, unchanged since.

    Args:
        folder: the site's.
        entry: the ledger's on the pairing.

    Raises:
        LedgerError: peer.json is not the file that was pinned.
    """
    path = folder / PEER_NAME
    data = files.read(path, identity.MAX_IDENTITY_BYTES) if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != entry.body["identity"]:
        raise LedgerError(f"{PEER_NAME} is not the file that was pinned", _RESTORE)
    return identity.parse(data)


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
    if hashlib.sha256(data).hexdigest() != entry.body["file"]:
        raise CorruptError(f"'{path}' is not the rotation that entry {entry.number} of the ledger names", _RESTORE)
    return rotation.verify(data, old)


def next_path(folder: Path, new: PublicKey) -> Path:
    """Where a new private key lies until it takes the old one's place."""
    return folder / f"key.{new.fingerprint[:16]}.pem"


def clear(folder: Path) -> None:
    """Remove new private keys of rotations that were killed before the ledger knew of them; nobody else's files."""
    with files.storage(folder):
        for path in folder.iterdir():
            if _NEXT.fullmatch(path.name) and path.is_file():
                path.unlink()


def settle(folder: Path, current: PublicKey) -> None:
    """Finish a rotation that was killed after the ledger knew of it: the new key takes the old one's place."""
    path = next_path(folder, current)
    if path.is_file():
        files.replace(folder / PUBLIC_NAME, current.pem.encode("ascii"))
        with files.storage(path):
            path.replace(folder / KEY_NAME)
        files.sync_folder(folder)
