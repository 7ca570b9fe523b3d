"""Whether this site was restored since it sealed its last turn: what its next bundle says of that.

Knows ledger and event log; knows no bundle's inside.
"""

from alx.bundle.restored import Restored as Told
from alx.site import events
from alx.site.entries import Reset, Restored, Sealed, Turn
from alx.site.state import SiteState


def since_last_sealed(now: SiteState) -> Told | None:
    """The newest restoration behind the last turn that was sealed since, or None where there was none.

    A bundle that was put back could not say it.

    Raises:
        LedgerError: see `events.read`.
    """
    for i in reversed(range(len(now.entries))):
        entry = now.entries[i]
        if isinstance(entry.record, Sealed) and not entry.record.back:
            return None
        # a reset of the log alone lost no turn
        if isinstance(entry.record, Restored) or (isinstance(entry.record, Reset) and entry.record.bundles is not None):
            at = next(e.at for e in events.read(now.site.events_path) if e.entry == entry.line.digest)
            known = max((e.record.round for e in now.entries[:i] if isinstance(e.record, Turn)), default=0)
            return Told(how="backup" if isinstance(entry.record, Restored) else "rebuilt", at=at, round=known)
    return None
