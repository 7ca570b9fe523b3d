"""Security: keys, signatures, digests, chains, and every refusal."""

from collections.abc import Iterator

from alx.bundle.keys import PublicKey
from alx.errors import count
from alx.evidence import EVENTS_HOLD, LEDGER_HOLDS, Evidence
from alx.report.page import logged
from alx.report.page.content import Cell, Cluster, Column, Element, Part, Table, listed
from alx.report.page.seen import Seen, other
from alx.site.entries import Refused
from alx.verified import BundleReport, Ciphertext


def cluster(seen: Seen) -> Cluster:
    """What is told of how the exchange is protected."""
    said = "Who signed what, what was compared, and what was refused. docs/threat-model.md says what this protects from."
    site = [] if seen.evidence.site is None else [_chains(seen.evidence), _log(seen)]
    return Cluster(
        key="security",
        title="Security",
        words=said,
        parts=[_keys(seen), _signatures(seen), *_officers(seen), *site, _files(seen)],
    )


def _keys(seen: Seen) -> Part:
    ring, site = seen.evidence.keyring, seen.evidence.site
    rows: list[list[Cell]] = []
    if ring is not None and site is not None:
        rows += [["this site", site.role, key.fingerprint, state] for key, state in _states(ring.own)]
        rows += [["the peer", other(site.role), key.fingerprint, state] for key, state in _states(ring.peer)]
    elif site is None:
        rows += [
            ["the sender", _side(r), r.signer.fingerprint, "named by whoever made this report"] for r in seen.reports[:1]
        ]
    columns = [
        Column(name="whose"),
        Column(name="side"),
        Column(name="SHA-256 of its PEM", kind="digest"),
        Column(name="state"),
    ]
    said = [
        Element(
            name=name, value=identity.words, standing="checked", note="twelve words for its identity file, as read out loud"
        )
        for name, identity in (("words of this site", seen.evidence.own), ("words of the peer", seen.evidence.peer))
        if identity is not None
    ]
    nothing = Element(name="keys", value=None, standing="unknown", note="see the findings")
    return Part(
        title="Keys",
        elements=said if rows else [nothing],
        tables=[
            Table(
                caption="Keys, oldest first" if site else "The key that signed",
                standing="checked",
                columns=columns,
                rows=rows,
            )
        ]
        if rows
        else [],
    )


def _side(report: BundleReport | Ciphertext) -> str:
    return report.turn.sender


def _states(keys: tuple[PublicKey, ...]) -> Iterator[tuple[PublicKey, str]]:
    for i, key in enumerate(keys):
        yield key, "in use" if i == len(keys) - 1 else "replaced"


def _signatures(seen: Seen) -> Part:
    rows: list[list[Cell]] = []
    for bundle, place in seen.told():
        report = bundle.report
        if report is None:
            fault = "not looked at: no key is known" if bundle.fault is None else bundle.fault.message
            rows.append([place, bundle.signature, logged.local(fault, seen.folder), None])
            continue
        told = f"{count(len(report.listed), 'signed file')}, each as it was signed; no other"
        rows.append([place, bundle.signature, told, report.signer.fingerprint])
    columns = [Column(name="place"), Column(name="signature"), Column(name="files"), Column(name="key", kind="digest")]
    return Part(
        title="Signatures",
        words=["ECDSA on P-256 over the SHA-256 of every file (OpenSSF Model Signing): a public tool verifies it too."],
        tables=[Table(caption="Every signature, looked at now", standing="checked", columns=columns, rows=rows)]
        if rows
        else [],
    )


def _officers(seen: Seen) -> list[Part]:
    """Who had approved each bundle, where the plan says that somebody has to."""
    plan = seen.plan
    if plan is None or plan.officers is None:
        return []
    rows: list[list[Cell]] = []
    for bundle, place in seen.told():
        side, turn = seen.sides(bundle)[0], bundle.turn
        officers = None if side is None else plan.approvers(side)
        if officers is None or turn is None:
            continue
        out, _ = seen.handed_over.get(turn.digest, (None, None))
        agreed = turn.officers if not bundle.ours else None if out is None else out.officers
        why = "not handed over yet" if bundle.ours and out is None else "not on record: the ledger was rebuilt since"
        asked = f"{officers.threshold} of {len(officers.keys)}"
        rows += [[place, side, asked, each, ""] for each in agreed] if agreed else [[place, side, asked, None, why]]
    columns = [
        Column(name="place"),
        Column(name="whose officers"),
        Column(name="asked for"),
        Column(name="approved by the key", kind="digest"),
        Column(name="why there is none"),
    ]
    words = [
        "Under this plan so many of a side's officers have to approve each of its bundles, or it is not handed over.",
        "Told here is whose approvals were verified then; the approvals themselves lie beside the bundle.",
    ]
    table = listed(caption="Who had approved which bundle", standing="recorded", columns=columns, rows=rows)
    return [Part(title="Officers", words=words, tables=[table] if rows else [])]


def _chains(found: Evidence) -> Part:
    def chain(name: str, what: str, number: int) -> Element:
        if what in found.checked:
            return Element(name=name, value=f"its chain of {count(number, 'entry', 'entries')} holds", standing="checked")
        return Element(name=name, value="its chain does not hold", standing="checked", note="see the findings")

    head = Element(
        name="digest of the ledger's last entry", value=found.head, standing="checked" if found.head else "unknown"
    )
    loose = [Element(name="lies there, and nothing names it", value=name, standing="checked") for name in found.unnamed]
    entries = len(found.past) if found.told_by == "ledger" else 0
    return Part(
        title="The site's own record",
        words=[
            f"The history on this page is that of the {found.told_by}."
            if found.told_by
            else "Neither the ledger nor the event log can be read: there is no history on this page."
        ],
        elements=[chain("ledger", LEDGER_HOLDS, entries), chain("event log", EVENTS_HOLD, len(found.log)), head, *loose],
    )


def _log(seen: Seen) -> Part:
    found = seen.evidence
    rows: list[list[Cell]] = [
        [None if e.by_reset else e.at, e.line.kind, logged.event(e.record, seen.folder, by_reset=e.by_reset)]
        for e in found.log
    ]
    refusals = [e.record for e in found.log if isinstance(e.record, Refused)]
    own, to_come = sum(each.own for each in refusals), sum(bool(each.to_come) for each in refusals)
    waited = "nothing was wrong: another disk, or an officer's approval, was still to come"
    columns = [Column(name="when, UTC", kind="time"), Column(name="event"), Column(name="what")]
    return Part(
        title="Every event, refusals among them",
        elements=[
            Element(
                name="refusals",
                value=len(refusals) - own - to_come,
                standing="recorded",
                note="what commands of this site refused",
            ),
            Element(name="refusals of its own", value=own, standing="recorded", note="of its own data, paths or settings"),
            Element(name="said what is still to come", value=to_come, standing="recorded", note=waited),
        ],
        tables=[listed(caption="The security log", standing="recorded", columns=columns, rows=rows)] if rows else [],
    )


def _files(seen: Seen) -> Part:
    rows: list[list[Cell]] = [
        [place, f.name, f.size, f.digest]
        for bundle, place in seen.told()
        if bundle.report is not None
        for f in bundle.report.listed
    ]
    columns = [
        Column(name="place"),
        Column(name="file"),
        Column(name="bytes", kind="number"),
        Column(name="SHA-256", kind="digest"),
    ]
    table = listed(caption="Every signed file, its digest compared now", standing="checked", columns=columns, rows=rows)
    gone = Element(name="known weaknesses", value=None, standing="unknown", note="alx keeps no list; docs/threat-model.md")
    return Part(title="Files", elements=[gone], tables=[table] if rows else [])
