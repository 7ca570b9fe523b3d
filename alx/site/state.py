"""A site as its ledger tells it: entries, position, keys and both identities, each read once and handed on.

Knows what a site remembers; knows no bundle's inside. What a command appends to the ledger renews it.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from alx import files
from alx.bundle import identity, keys
from alx.bundle.identity import IDENTITY_NAME, Identity
from alx.bundle.keys import PublicKey, Unlock
from alx.errors import ConfigError, TrustError, TurnError, UsageError
from alx.site import keyring, ledger, position
from alx.site.entries import Accepted, Created, Paired, PeerRotated, Record, Rotated, Sealed
from alx.site.keyring import KEY_NAME, Keyring
from alx.site.ledger import Entry
from alx.site.position import Position

if TYPE_CHECKING:
    from alx.site.site import Site


class SiteState:
    """What a site remembers, as it stands now.

    Args:
        site: its folder and configuration.
        entries: the whole ledger.
    """

    def __init__(self, site: "Site", entries: list[Entry]) -> None:
        self.site = site
        self.entries = entries

    def append(self, *records: Record) -> None:
        """Add entries to the ledger in one transaction, and go on from there; see `ledger.append`."""
        self.entries = ledger.append(self.site.ledger_path, *records)
        stale = {"position"}
        if any(isinstance(r, Paired | Rotated | PeerRotated | Sealed | Accepted) for r in records):
            stale.add("keyring")
        if any(isinstance(r, Paired) for r in records):
            stale.add("peer")
        for name in stale:
            self.__dict__.pop(name, None)

    @cached_property
    def position(self) -> Position:
        """Where the exchange stands."""
        return position.of(self.entries, self.site.role, self.site.plan.rounds)

    @cached_property
    def introduced(self) -> Identity | None:
        """How this site introduced itself; None where it has not yet."""
        path = self.site.folder / IDENTITY_NAME
        if not path.is_file():
            return None
        return identity.parse(files.read(path, identity.MAX_IDENTITY_BYTES))

    @property
    def own(self) -> Identity:
        """How this site introduced itself.

        Raises:
            UsageError: it has not yet.
        """
        if self.introduced is None:
            raise UsageError("this site has no identity file yet", "run alx identity")
        return self.introduced

    @property
    def pairing(self) -> Paired | None:
        """The last pairing, or None where no peer is pinned."""
        return next((e.record for e in reversed(self.entries) if isinstance(e.record, Paired)), None)

    @cached_property
    def peer(self) -> Identity:
        """The pinned peer: the file that was compared, unchanged since. Its current key is `peer_key`.

        Raises:
            TurnError: no peer yet.
            LedgerError: peer.json is not the file that was pinned.
        """
        if self.pairing is None:
            raise TurnError("this site has no peer yet", "run alx identity, carry the file, then alx pair PEER-FILE")
        return keyring.pinned(self.site.folder, self.pairing)

    @cached_property
    def keyring(self) -> Keyring:
        """The keys of this site and of its peer, those that were replaced too."""
        return keyring.of(self.site.folder, self.entries, lambda: self.introduced, lambda: self.peer)

    @property
    def public_key(self) -> PublicKey:
        """This site's current public key."""
        return self.keyring.own[-1]

    @property
    def peer_key(self) -> PublicKey:
        """The peer's current public key.

        Raises:
            TurnError: no peer yet.
        """
        ring = self.keyring.peer
        return ring[-1] if ring else self.peer.key

    def private_key(self, unlock: Unlock | None = None) -> ec.EllipticCurvePrivateKey:
        """This site's private key.

        Args:
            unlock: asked for its passphrase, if it has one; None is the site's own.

        Raises:
            TrustError, UsageError: see `keys.load_private`; it is not the key that the ledger names.
        """
        key = keys.load_private(self.site.folder / KEY_NAME, unlock or self.site.unlock)
        if PublicKey(key.public_key()).fingerprint != self.public_key.fingerprint:
            raise TrustError(
                f"'{KEY_NAME}' is not the private key of {self.public_key.fingerprint[:16]}…, which the ledger names",
                "restore the site from its backup",
            )
        return key

    @property
    def recipients(self) -> tuple[str, ...]:
        """To whom a bundle of this site is encrypted: the peer, and itself, which reads its own turns again."""
        peer = self.peer.file.recipient if self.site.plan.encrypt else None
        return () if peer is None or self.site.recipient is None else (peer, self.site.recipient)

    def check_agreement(self) -> None:
        """What was agreed at pairing is what lies in the folder: plan, identity, peer, the model's own source file.

        Raises:
            ConfigError: one of them was changed since.
            LedgerError: see `peer`.
        """
        created = next(e.record for e in self.entries if isinstance(e.record, Created))
        found: list[tuple[str, str | None, str | None]] = [("plan.toml", self.site.plan_file.digest, created.plan)]
        if self.pairing is not None:
            _ = self.peer
            found.append((IDENTITY_NAME, self.own.digest, self.pairing.own_identity))
            found.append(("the model's source file", self.site.code_digest, self.own.file.code))
        for what, got, agreed in found:
            if got != agreed:
                raise ConfigError(
                    f"{what} was changed after it was agreed on: SHA-256 {str(got)[:8]}…, expected {str(agreed)[:8]}…",
                    "put the agreed file back; another plan or model needs new sites on both sides",
                )
