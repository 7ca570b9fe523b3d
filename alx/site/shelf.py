"""The bundles that lie in a site: those it sealed, those it accepted; each is verified again whenever it is opened.

Knows bundles and the ledger's entries; knows no model's meaning.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alx.bundle import carried, read
from alx.bundle.carried import Source
from alx.bundle.manifest import Manifest
from alx.bundle.signature import SignedBundle
from alx.errors import CorruptError
from alx.site.entries import Sealed, Turn
from alx.site.site import Site
from alx.site.state import SiteState


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle of the site's, verified: signature, and every file's name, size and digest."""

    folder: Path
    source: Source
    signed: SignedBundle
    manifest: Manifest

    def state(self, index: int) -> bytes:
        """One candidate's flat state; see `read.state`."""
        return read.state(self.source, self.signed, self.manifest, index)


def place(site: Site, turn: Turn) -> Path:
    """Where a bundle of the site lies: in the outbox if it was sealed here, in the inbox if it was accepted."""
    return (site.outbox if isinstance(turn, Sealed) else site.inbox) / turn.bundle


@contextlib.contextmanager
def opened(now: SiteState, turn: Turn) -> Iterator[Opened]:
    """A bundle of the inbox or outbox, verified again.

    Args:
        now: this site.
        turn: what the ledger says of it.

    Raises:
        CorruptError: it is not the one that the ledger names.
    """
    folder = place(now.site, turn)
    if not folder.is_dir():
        raise CorruptError(f"the site's bundle '{folder}' is gone", "restore the site from its backup")
    with carried.survey(folder, now.site.secret) as source:
        signed = read.verify(source, read.claimed_key(source)[0], now.keyring.signers[turn.digest])
        source.refuse_damage()
        if signed.digest != turn.digest:
            raise CorruptError(f"'{folder}' is not the bundle that the ledger names", "restore the site from its backup")
        yield Opened(folder, source, signed, read.read_manifest(source, signed))
