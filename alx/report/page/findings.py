"""What does not hold, what was refused, and what deserves a look: what is to be read first.

Knows evidence and the ledger's records; verifies nothing.
"""

from collections.abc import Iterator

from alx.bundle.manifest import Manifest
from alx.errors import ForkError, count
from alx.evidence import Evidence, Fault
from alx.report import audit as told
from alx.report.page import logged
from alx.report.page.content import Finding
from alx.report.page.seen import Seen
from alx.site.entries import Closed, Refused, Reset, Restored
from alx.verified import BundleReport, Ciphertext

_FORK = (
    "a second history of this exchange, signed by the peer: keep every copy, of this bundle and of the one taken in before, "
    "as together the signatures prove it; ask the peer which one is to count"
)


def findings(seen: Seen) -> list[Finding]:
    """What does not hold, what was refused, and what deserves a look, in this order."""
    found: Evidence = seen.evidence
    out = [Finding(kind="fault", at=None, text=logged.local(_fault(f), seen.folder)) for f in found.faults]
    out += [Finding(kind="look", at=None, text=f"'{name}' lies there, and nothing names it") for name in found.unnamed]
    closed = sum(isinstance(r, Ciphertext) for r in seen.reports)
    if closed:
        text = f"{count(closed, 'bundle')} could be seen from outside only: encrypted, and the age key is not at hand"
        out.append(Finding(kind="look", at=None, text=text))
    refused = [(e.at[:19], e.record) for e in found.log if isinstance(e.record, Refused)]
    twice = [(at, r) for at, r in refused if r.error == ForkError.__name__]
    out += [Finding(kind="look", at=at, text=f"'{r.about}': {_FORK}") for at, r in twice]
    refused = [(at, r) for at, r in refused if not r.own and not r.to_come]
    out += [Finding(kind="refusal", at=at, text=logged.event(r, seen.folder)) for at, r in refused]
    out += [Finding(kind="look", at=None, text=text) for text in _restorations(seen)]
    for chosen, at in seen.selected:
        looks = [look.removeprefix("LOOK: ") for look in told.looks(chosen.flags)]
        out += [Finding(kind="look", at=at and at[:19], text=f"selection of round {chosen.round}: {look}") for look in looks]
    for past in found.past:
        match past.record:
            case Closed(loss_rose=True):
                text = "the learner's closing says a global loss above the one found here last"
                out.append(Finding(kind="look", at=past.at and past.at[:19], text=text))
            case Restored() | Reset() as r:
                out.append(Finding(kind="look", at=past.at and past.at[:19], text=mended(seen, r)))
    return out


def _restorations(seen: Seen) -> Iterator[str]:
    """Bundles that say that the sender's site was restored; of its own restorations a site's record tells."""
    for bundle in seen.evidence.bundles:
        m = bundle.report.manifest if isinstance(bundle.report, BundleReport) else None
        said = m.restoration if isinstance(m, Manifest) else None
        if m is not None and said is not None and not bundle.ours:
            yield (
                f"the {m.sender.role}'s bundle of round {m.round} says that its site was {told.mended(said)}: "
                "ask whether its people did so"
            )


def _fault(fault: Fault) -> str:
    """What it is about comes first, where its message does not begin with it already."""
    error = fault.error
    about = "" if fault.what in error.message else f"{fault.what}: "
    return f"{about}{error.message}{f' (hint: {error.hint})' if error.hint else ''}"


def mended(seen: Seen, record: Restored | Reset) -> str:
    """That the site itself was restored, or its ledger rebuilt."""
    return f"the site was mended: {logged.event(record, seen.folder)}"
