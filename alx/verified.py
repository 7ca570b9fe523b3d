"""What an audit found good: a bundle, what is seen of one from outside, what of one lies on a disk, a whole site.

Knows what was verified; verifies nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alx.bundle import age
from alx.bundle.closing import Closing
from alx.bundle.keys import PublicKey
from alx.bundle.layout import Place, place
from alx.bundle.manifest import Candidate, Manifest
from alx.bundle.share import Share
from alx.bundle.signature import SignedBundle, SignedFile

if TYPE_CHECKING:  # a bundle is looked at without a site
    from alx.site.events import Event
    from alx.site.ledger import Entry


@dataclass(frozen=True, slots=True)
class BundleReport:
    """A bundle, or the closing, that was verified whole: signature, digests of files and states, every weight finite.

    Attributes:
        path: where it lies.
        digest: the bundle's.
        signer: the key that the signature was verified with.
        manifest: what it says about itself.
        listed: every signed file with its digest and size.
        files: number of files, `round.sig` counted.
        size: their bytes.
        encrypted: whether they are; then a key at hand opened all of them, and each has two recipients.
        made: whether the blends that are in it as recipes were made too: what they are made of lies in other bundles.
    """

    path: Path
    digest: str
    signer: PublicKey
    manifest: Manifest | Closing
    listed: tuple[SignedFile, ...]
    files: int
    size: int
    encrypted: bool
    made: bool = False

    @property
    def name(self) -> str:
        """As its maker called it; its folder may have been renamed."""
        return self.manifest.name()

    @property
    def turn(self) -> Place:
        """Which turn it is."""
        return place(self.name)

    @property
    def raw_size(self) -> int:
        """Bytes of all states in it, raw."""
        return 0 if isinstance(self.manifest, Closing) else self.manifest.layout.nbytes * self.manifest.weighed

    @property
    def candidates(self) -> Sequence[Candidate]:
        """The models on offer; a closing has none."""
        return () if isinstance(self.manifest, Closing) else self.manifest.candidates

    @property
    def recipes(self) -> int:
        """Number of blends that are in it as recipes."""
        return sum(not c.files for c in self.candidates)

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "path": self.path,
            "valid": True,
            "digest": self.digest,
            "signer": self.signer.fingerprint,
            "files": self.files,
            "bytes": self.size,
            "raw_bytes": self.raw_size,
            "recipes": self.recipes,
            "recipes_made": self.recipes if self.made else 0,
            "encrypted": self.encrypted,
            "manifest": self.manifest.model_dump(),
        }


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """An encrypted bundle as it is seen from outside: signature, every file's digest, and every age header, no more.

    Attributes:
        path: where it lies.
        name: as signed.
        digest: the bundle's.
        signer: the key that the signature was verified with.
        listed: every signed file with its digest and size.
        files: size by name, `round.sig` counted.
    """

    path: Path
    name: str
    digest: str
    signer: PublicKey
    listed: tuple[SignedFile, ...]
    files: dict[str, int]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(self.files.values())

    @property
    def turn(self) -> Place:
        """Which turn it is, by the name that was signed."""
        return place(self.name)

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "path": self.path,
            "valid": True,
            "encrypted": True,
            "recipients": age.RECIPIENTS,
            "name": self.name,
            "digest": self.digest,
            "signer": self.signer.fingerprint,
            "files": len(self.files),
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class ShareReport:
    """What of a bundle lies on one of several disks: signature, and every file that should be here; no model was opened.

    Attributes:
        path: where it lies.
        signer: the key that the signature was verified with.
        signed: what the signature says of the whole bundle.
        part: which disk this is.
        manifest: what the bundle says about itself, which lies on each of the disks; None where it is encrypted, and no key
            was at hand.
    """

    path: Path
    signer: PublicKey
    signed: SignedBundle
    part: Share
    manifest: Manifest | None

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by name of what is here, each as it was signed."""
        return {name: f.size for name, f in self.part.of(self.signed).files.items()}

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "path": self.path,
            "valid": True,
            "digest": self.signed.digest,
            "signer": self.signer.fingerprint,
            "disk": self.part.disk,
            "disks": len(self.part.counts),
            "files": len(self.sizes),
            "bytes": sum(self.sizes.values()),
            "elsewhere": sorted(self.signed.files.keys() - self.sizes.keys()),
            "manifest": None if self.manifest is None else self.manifest.model_dump(),
        }


@dataclass(frozen=True, slots=True)
class SiteReport:
    """A site's history: both chains hold, every bundle named in the ledger was verified whole, and every blend was made.

    Of encrypted bundles without the site's age key only what is seen from outside was verified.

    Attributes:
        entries: the ledger.
        events: the security log.
        not_logged: entries of the ledger that the log lacks, of a command that was killed in between, or that runs now.
        bundles: those of the outbox and the inbox, in the ledger's order.
        personal: number of snapshots whose personal parts are kept here, each as it was kept; None where the plan has none,
            or what was sealed could not be opened.
    """

    entries: list["Entry"]
    events: list["Event"]
    not_logged: list["Entry"]
    bundles: list[BundleReport | Ciphertext]
    personal: int | None = None

    @property
    def opened(self) -> list[BundleReport]:
        """The bundles that were looked into: all of them, or none."""
        return [b for b in self.bundles if isinstance(b, BundleReport)]

    def json(self) -> dict[str, object]:
        """For machines."""
        chain = [entry.line for entry in self.entries]
        log = [event.line for event in self.events]
        return {
            "valid": True,
            "entries": [
                {"number": e.number, "kind": e.kind, "body": json.loads(e.body), "previous": e.previous, "digest": e.digest}
                for e in chain
            ],
            "events": [{"number": e.number, "kind": e.kind, "body": json.loads(e.body), "digest": e.digest} for e in log],
            "bundles": [bundle.json() for bundle in self.bundles],
            "personal": self.personal,
        }
