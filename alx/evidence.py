"""What there is to report on, looked at piece by piece: of each what holds, or why it does not.

Where `alx.audit` stops at the first fault, this goes on, so that a damaged copy of a site still shows what is good in it.
Knows bundles, keys and ledgers; knows no tensor's meaning and needs no private key. Nothing is written anywhere.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

from alx import audit
from alx.bundle import approval, carried
from alx.bundle.identity import Identity
from alx.bundle.keys import PublicKey
from alx.errors import AlxError, IncompleteError, LimitError, MalformedError, TrustError, escape
from alx.site import events, ledger, shelf
from alx.site.entries import LEDGER, Accepted, Created, Event, Paired, PeerRotated, Record, Reset, Turn
from alx.site.events import Event as Logged
from alx.site.keyring import Keyring
from alx.site.ledger import Entry
from alx.site.site import Site
from alx.site.state import SiteState
from alx.steps import receipts
from alx.verified import BundleReport, Ciphertext

_T = TypeVar("_T")
Signature = Literal["valid", "not valid", "none is there", "not looked at"]
LEDGER_HOLDS, EVENTS_HOLD = "the ledger's chain", "the event log's chain"
AGREED, ALL_TURNS = "plan, identities and model file", "order of the bundles"


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not hold: what was looked at, and the refusal."""

    what: str
    error: AlxError


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle, or the closing.

    Attributes:
        turn: what the site's record says of it; None where it was looked at alone.
        ours: it was sealed by this site; None where it was looked at alone.
        report: what was verified; None where it does not hold.
        fault: why it does not hold; beside a report, why its blends could not be made.
        signature: whether that holds, of itself.
    """

    turn: Turn | None
    ours: bool | None
    report: BundleReport | Ciphertext | None
    fault: AlxError | None = None
    signature: Signature = "valid"

    @property
    def good(self) -> bool:
        """All of it that was looked at holds."""
        return self.report is not None and self.fault is None


@dataclass(frozen=True, slots=True)
class Past:
    """An entry of the site's record.

    Attributes:
        record: what it says.
        at: when, by the machine's clock, ISO 8601 in UTC; None where nobody knows.
        rebuilt: a reset of the ledger found it in signed bundles, and no event log tells of it.
    """

    record: Record
    at: str | None
    rebuilt: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was found.

    Attributes:
        site: the site; None where a bundle was looked at alone.
        past: the site's record in its order: its ledger; where that is damaged, the event log, or what is whole of one.
        told_by: where `past` was read: "ledger" or "event log".
        head: digest of the ledger's last entry; None where the ledger is damaged.
        log: the security log, as far as it holds.
        keyring: the keys of both sides; None where they cannot be told.
        own, peer: as both sides introduced themselves, where they did.
        bundles: in the order of the exchange.
        checked: what was looked at as a whole, and holds: some of the constants above.
        faults: what does not hold, in the order in which an audit would meet it.
        unnamed: folders that lie among the bundles, and that nothing in `past` names.
    """

    site: Site | None
    bundles: tuple[Bundle, ...]
    past: tuple[Past, ...] = ()
    told_by: str = ""
    head: str | None = None
    log: tuple[Logged, ...] = ()
    keyring: Keyring | None = None
    own: Identity | None = None
    peer: Identity | None = None
    checked: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    unnamed: tuple[str, ...] = ()


def bundle(path: Path, keys: Sequence[PublicKey], secret: str | None = None) -> Evidence:
    """Look at a bundle where it lies; see `alx.audit.whole`, which refuses what does not hold."""
    return Evidence(None, (Bundle(None, None, audit.whole(path, keys, secret)),))


def site(found: Site) -> Evidence:
    """Look at a whole site, or at a copy of one.

    Raises:
        StorageError: the folder cannot be read.
    """
    looked = _Looked()
    looked.at("the site's folder", found.require_private)
    log, lost = events.sound(found.events_path)  # before the ledger, which is never behind it, whatever runs meanwhile
    looked.saw(EVENTS_HOLD, lost)
    entries, fault = ledger.sound(found.ledger_path)
    looked.saw(LEDGER_HOLDS, fault)
    if fault is None and lost is None:
        looked.at("event log beside the ledger", lambda: events.missing(log, entries))
    told, told_by = (entries, "ledger") if fault is None else _best(entries, log)
    head = entries[-1].line.digest if fault is None else None
    if not told:
        return Evidence(found, (), log=tuple(log), faults=tuple(looked.faults), unnamed=_unnamed(found, ()))
    now = SiteState(found, told)
    looked.at(AGREED, now.check_agreement)
    keyring = looked.at("keys", lambda: now.keyring)
    looked.at("the peer's receipts", lambda: receipts.check(now))
    bundles = tuple(_bundles(now, keyring or _alone(now), looked))
    reports = [b.report for b in bundles if isinstance(b.report, BundleReport)]
    if len(reports) == len(bundles):
        looked.at(ALL_TURNS, lambda: audit.check_chain(reports))
        looked.at("personal parts", lambda: audit.personal(now, reports))
    times: dict[str | None, str] = {}
    for i, e in enumerate(log):
        # what a reset told again stands in a log that was not lost before that, as it happened
        same = (x.at for x in log[:i] if x.line.kind == e.line.kind and not x.by_reset and _same(x.record, e.record))
        at = next(same, None) if e.by_reset else e.at
        if at is not None:
            times |= {e.entry: at, e.line.digest: at}
    resets = (e.record for e in reversed(told) if isinstance(e.record, Reset) and e.record.bundles is not None)
    rebuilt = next((reset.rebuilt for reset in resets), 0)
    return Evidence(
        site=found,
        bundles=bundles,
        past=tuple(
            Past(e.record, times.get(e.line.digest), number <= rebuilt and e.line.digest not in times)
            for number, e in enumerate(told, 1)
        ),
        told_by=told_by,
        head=head,
        log=tuple(log),
        keyring=keyring,
        own=looked.at("own identity", lambda: now.introduced),
        peer=None if now.pairing is None else looked.at("the peer's identity", lambda: now.peer),
        checked=tuple(looked.held),
        faults=tuple(looked.faults),
        unnamed=_unnamed(found, bundles),
    )


def _same(one: Event, other: Event) -> bool:
    """Whether two records of one kind are about the same bundle, all of it, or the same peer."""
    if getattr(one, "request", None) is not None:
        return False
    what = [getattr(each, "digest", None) or getattr(each, "identity", None) for each in (one, other)]
    return what[0] is not None and what[0] == what[1]


class _Looked:
    """What was looked at so far: what held, and what did not."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.faults: list[Fault] = []

    def at(self, what: str, look: Callable[[], _T]) -> _T | None:
        """Look at one thing; a refusal is noted, the same one once."""
        try:
            seen = look()
        except AlxError as error:
            self.saw(what, error)
            return None
        self.held.append(what)
        return seen

    def saw(self, what: str, error: AlxError | None) -> None:
        """Note how a look ended."""
        if error is None:
            self.held.append(what)
        elif error.message not in [f.error.message for f in self.faults]:
            self.faults.append(Fault(what, error))


def _best(entries: list[Entry], log: list[Logged]) -> tuple[list[Entry], str]:
    """Whichever of the damaged ledger's good part and the log tells more of the exchange."""
    begin = max((i for i, e in enumerate(log) if isinstance(e.record, Reset) and e.record.bundles is not None), default=0)
    while begin and log[begin - 1].by_reset:  # what was before these belongs to a ledger that was lost
        begin -= 1
    logged = [Entry(cast("Record", e.record), e.line) for e in log[begin:] if e.line.kind in LEDGER]
    if logged and isinstance(logged[0].record, Created) and len(logged) > len(entries):
        return logged, "event log"
    return entries, "ledger"


def _alone(now: SiteState) -> Keyring | None:
    """The keys of this site, where those of the peer cannot be told."""
    own = [e for e in now.entries if not isinstance(e.record, Paired | PeerRotated | Accepted)]
    with contextlib.suppress(AlxError):  # it was noted already
        return SiteState(now.site, own).keyring
    return None


def _bundles(now: SiteState, keyring: Keyring | None, looked: _Looked) -> Iterator[Bundle]:
    secret = looked.at("age key", lambda: now.site.secret_here)
    for entry in now.entries:
        turn = entry.record
        if not isinstance(turn, Turn):
            continue
        ours = entry.line.kind == "sealed"
        if keyring is None or turn.digest not in keyring.signers:
            yield Bundle(turn, ours, None, signature="not looked at")
            continue
        report: BundleReport | Ciphertext | None = None
        try:
            report = audit.kept(now.site, entry, keyring, secret)
            if isinstance(report, BundleReport) and keyring.peer:
                report = audit.blended(now, entry, report)
        except AlxError as error:
            looked.saw(turn.what, error)
            signed: Signature = (
                "valid" if report is not None else _signed(shelf.place(now.site, turn), keyring.signers[turn.digest])
            )
            yield Bundle(turn, ours, report, error, signed)
        else:
            yield Bundle(turn, ours, report)


def _signed(path: Path, key: PublicKey) -> Signature:
    """What can be said of the signature of a bundle that does not hold."""
    try:
        with carried.survey(path) as source:
            audit.signature(source, [key])
    except (TrustError, MalformedError, LimitError):
        return "not valid"
    except IncompleteError:
        return "none is there"
    except AlxError:
        return "none is there" if not path.is_dir() else "not looked at"
    return "valid"


def _unnamed(found: Site, bundles: Sequence[Bundle]) -> tuple[str, ...]:
    """What lies in the outbox and inbox beside the bundles that are named."""
    named = {(b.ours, b.turn.bundle) for b in bundles if b.turn is not None}
    out = []
    for folder, ours in ((found.outbox, True), (found.inbox, False)):
        with contextlib.suppress(OSError):  # what cannot be read was refused above
            names = sorted(p.name for p in folder.iterdir())
            out += [
                f"{folder.name}/{escape(name)}" for name in names if (ours, name.removesuffix(approval.SUFFIX)) not in named
            ]
    return tuple(out)
