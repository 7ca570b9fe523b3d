"""The bundles that lie in a site: those it sealed, those it accepted; each is verified again whenever it is opened.

Knows bundles and the ledger's entries; knows no model's meaning.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alx.bundle import carried, read
from alx.bundle.carried import Source
from alx.bundle.manifest import Manifest
from alx.bundle.signature import SignedBundle
from alx.errors import CorruptError, TurnError
from alx.site.site import Site


def last_accepted(site: Site) -> tuple[Path, dict[str, Any]]:
    """The folder in the inbox of the bundle accepted last, and its ledger entry.

    Raises:
        TurnError: none was accepted yet.
    """
    position = site.position()
    if not position.accepted:
        raise TurnError("no bundle was imported yet", f"next: {position.next_command}")
    body = position.accepted[-1]
    return site.inbox / body["bundle"], body


@contextlib.contextmanager
def opened(site: Site, folder: Path, digest: str) -> Iterator[tuple[Source, SignedBundle, Manifest]]:
    """A bundle of the inbox or outbox, verified again.

    Args:
        site: this site.
        folder: where it lies.
        digest: what the ledger says of it.

    Yields:
        Source, signed bundle, manifest.

    Raises:
        CorruptError: it is not the one that the ledger names.
    """
    if not folder.is_dir():
        raise CorruptError(f"the site's bundle '{folder}' is gone", "restore the site from its backup")
    with carried.survey(folder, site.secret) as source:
        signed = read.verify(source, read.claimed_key(source)[0], site.signer(digest))
        source.refuse_damage()
        if signed.digest != digest:
            raise CorruptError(f"'{folder}' is not the bundle that the ledger names", "restore the site from its backup")
        yield source, signed, read.read_manifest(source, signed)
