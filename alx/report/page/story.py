"""The report in words: what it is about, who handed what to whom and when, and what deserves to be read first.

Knows evidence and the ledger's records; verifies nothing.
"""

from collections.abc import Iterator

from alx import files
from alx.bundle.closing import Closing
from alx.bundle.manifest import Manifest
from alx.errors import count
from alx.evidence import EVENTS_HOLD, Bundle, Evidence, Past
from alx.report import receipts
from alx.report.page.findings import findings, mended
from alx.report.page.seen import Seen, size
from alx.site import handed_over
from alx.site.entries import (
    Accepted,
    Closed,
    Exported,
    Paired,
    Received,
    Refused,
    Renewal,
    Reset,
    Restored,
    Sealed,
    Selected,
)
from alx.verified import BundleReport, Ciphertext


def title(seen: Seen) -> str:
    """What the report is about, in a line."""
    site = seen.evidence.site
    if site is not None:
        return f"The {site.role}'s site of plan '{site.plan.name}'"
    report = seen.reports[0]
    if isinstance(report, BundleReport):
        m = report.manifest
        what = "The closing" if isinstance(m, Closing) else "The bundle"
        return f"{what} of the {m.sender.role}, round {m.round}"
    return f"An encrypted bundle, seen from outside: {report.turn}"


def words(seen: Seen) -> list[str]:
    """The whole of it, a sentence or two each."""
    return _site(seen) if seen.evidence.site is not None else _bundle(seen.reports[0])


def _site(seen: Seen) -> list[str]:
    found, site = seen.evidence, seen.evidence.site
    if site is None:
        return []
    plan, rounds = site.plan, len({s.round for s, _ in seen.selected})
    under = f"the plan '{plan.name}' (SHA-256 {site.plan_file.digest}), in {count(plan.rounds, 'round')}"
    out = [f"Two organisations improve one model under {under}. This site is the {site.role}. {_paired(seen)}"]
    sealed, came = ([b for b in found.bundles if b.ours is ours] for ours in (True, False))
    gone = [b for b in sealed if b.turn is not None and b.turn.digest in seen.handed_over]
    out.append(
        f"It sealed {count(len(sealed), 'bundle')}{_closed(sealed)} and handed over {len(gone)}{_bytes(gone)}; it accepted "
        f"{len(came)} from the peer{_closed(came)}{_bytes(came)}. {_closing(seen, rounds)}"
    )
    if seen.mended:
        out.append(
            "Its record was mended, and knows of no bundle that was sealed and lost in between: there may have been more."
        )
    out += _left(gone, mended=seen.mended)
    out += [f"Beside its bundles left {each}. {_GIVEN}" for each in receipts.beside(seen.given, seen.approvals)]
    good = sum(b.good for b in found.bundles)
    if found.faults:
        faults = count(len(found.faults), "fault was", "faults were")
        hold = "holds" if good == 1 else "hold"
        out.append(f"{faults} found: see below. {good} of {count(len(found.bundles), 'bundle')} on record {hold}.")
    elif found.bundles:
        whole = "signatures, digests and every weight"
        each = whole if len(seen.opened) == len(seen.reports) else "signatures and digests; what is encrypted was not opened"
        out.append(f"All bundles lie in this site and were verified while this report was made: {each}. {_CHAINS}")
    refused, looks = (sum(f.kind == kind for f in findings(seen)) for kind in ("refusal", "look"))
    refusals = f"Commands of this site refused something {count(refused, 'time')}" if refused else "Nothing was refused"
    if EVENTS_HOLD not in found.checked:
        refusals += " as far as can be told, for the event log is damaged"
    elif found.log and found.log[0].by_reset:
        refusals += " since the event log was begun anew"
    slips = sum(isinstance(e.record, Refused) and e.record.own for e in found.log)
    if slips:
        own = "about this site's own data, paths or settings, a typing error say"
        refusals += f"; {count(slips, 'command')} ended with a refusal {own}"
    to_come = sum(isinstance(e.record, Refused) and bool(e.record.to_come) for e in found.log)
    if to_come:
        refusals += f"; {count(to_come, 'command')} said what was still to come, another disk or an approval"
    out.append(f"{refusals}; {count(looks, 'thing') + ' deserved' if looks else 'nothing deserved'} a look: see Findings.")
    return out


_CHAINS = "The chains of ledger and event log hold."
_GIVEN = "They are not encrypted, also where bundles are."


def _closed(some: list[Bundle]) -> str:
    return " (the closing among them)" if any(b.turn is not None and b.turn.closing for b in some) else ""


def _paired(seen: Seen) -> str:
    if seen.paired is None:
        return "It has no peer yet."
    at = next((p.at for p in reversed(seen.evidence.past) if isinstance(p.record, Paired)), None)
    return f"It pinned its peer's key{_when(at)}, after somebody here said that the twelve words had been compared."


def _bytes(some: list[Bundle]) -> str:
    sizes = [size(b.report) for b in some if b.report is not None]
    hold = "one that holds" if len(sizes) == 1 else f"{len(sizes)} that hold"
    which = "" if len(sizes) == len(some) else f" in the {hold}"
    return f" ({files.size(sum(sizes))}{which})" if sizes else ""


def _closing(seen: Seen, rounds: int) -> str:
    closed, site = seen.closed, seen.evidence.site
    if closed is not None and site is not None:
        model = f"{closed.label} of round {closed.round}"
        match handed_over.end(seen.gone, site.role):
            case "received":
                return f"The exchange is closed: both sides end with {model}."
            case "handed over":
                return f"The closing was handed over; once the provider has imported it, both sides end with {model}."
            case "sealed":
                return f"The closing is sealed and was not handed over yet; once it is imported, both end with {model}."
    return f"The exchange is not closed; models were selected in {count(rounds, 'round')} so far."


def _left(gone: list[Bundle], *, mended: bool) -> list[str]:
    """What left this site in all, as far as its record knows."""
    opened = [b.report for b in gone if isinstance(b.report, BundleReport)]
    if not opened or len(opened) < len(gone):
        return [] if not gone else ["What the bundles that left hold can be told only where all of them can be opened."]
    models, recipes = sum(len(r.candidates) - r.recipes for r in opened), sum(r.recipes for r in opened)
    losses, samples = sum(len(r.candidates) for r in opened), opened[-1].manifest.samples
    weights = f"the weights of {count(models, 'model')}, recipes of {count(recipes, 'blend')}"
    starts = count(sum(r.manifest.start is not None for r in opened), "global loss", "global losses")
    numbers = f"{count(losses, 'loss sum')}, {starts} and the number of its samples, {samples:,}"
    known = ", by what its record knows" if mended else ""
    told = [r.manifest.told for r in opened if isinstance(r.manifest, Manifest) and r.manifest.told is not None]
    sums = "" if not told else f", and second moments of its samples' {told[0].features} features with their sums by class"
    return [
        f"What left this site{known}: {weights}, {numbers}{sums}. No bundle has a place for a sample, a label or a score."
    ]


def _bundle(report: BundleReport | Ciphertext) -> list[str]:
    files_of = len(report.listed)
    signed = "its one signed file" if files_of == 1 else f"each of its {files_of} signed files"
    valid = f"ts signature is valid, by the key {report.signer.fingerprint}; {signed}"
    if isinstance(report, Ciphertext):
        return [
            f"The bundle '{report.name}' is encrypted, and no key that opens it is at hand. I{valid} is as it was signed.",
            f"By the name that was signed it is {report.turn}. What it holds cannot be seen from outside.",
        ]
    m = report.manifest
    who = (
        f"The {m.sender.role} made it for the {m.receiver.role}, in round {m.round} of the exchange under the plan {m.plan}."
    )
    size = files.size(sum(f.size for f in report.listed))
    out = [who, f"I{valid} ({size}) is as it was signed, and nothing but the signature lies beside."]
    if isinstance(m, Closing):
        out.append(f"It has no weights: it names the model that both sides end with, {m.state}.")
    else:
        weights = f"the weights of {count(len(m.candidates) - report.recipes, 'model')}"
        recipes = f"the recipes of {count(report.recipes, 'blend')}"
        numbers = f"one loss sum for each, over the sender's {m.samples:,} samples"
        out.append(f"It holds {weights} and {recipes}, with {numbers}. Every weight is a finite number.")
    said = m.restoration if isinstance(m, Manifest) else None
    known = "no bundle holds that" if said is None else f"later than {said.at}, when its sender's site was restored"
    out.append(f"When it was made is not known: {known}.")
    return out


def story(seen: Seen) -> list[str]:
    """Who handed what to whom, in order; of a bundle alone there is none."""
    return list(_story(seen))


def _story(seen: Seen) -> Iterator[str]:  # noqa: C901 - one case for each kind
    left = set[str]()
    for past in _in_order(seen.evidence):
        match past.record:
            case Exported() | Accepted() as r if past.rebuilt:
                yield f"{_at(past)}{_found(r)}"
            case Paired() as r:
                yield f"{_at(past)}the peer was pinned, with the key {r.key[:16]}…; it has {count(r.samples, 'sample')}"
            case Renewal() as r:
                yield f"{_at(past)}a key was replaced: {r.old[:16]}… by {r.new[:16]}…"
            case Sealed() as r:
                yield f"{_at(past)}this site sealed the {r.what}, digest {r.digest[:16]}…"
            case Exported() as r:
                part = "all of it" if r.names is None else f"{count(len(r.names), 'file')} of it, as the peer asked"
                where = "on a disk" if r.disks is None else f"on {r.disks} disks"
                again = " once more" if r.names is None and r.digest in left else ""
                left |= {r.digest} if r.names is None else set()
                yield f"{_at(past)}'{r.bundle}' was put {where}{again}, {part}, and read back from there"
            case Received() as r:
                yield f"{_at(past)}the peer's receipt was read: {receipts.taken(r)}"
            case Accepted() as r:
                yield f"{_at(past)}the peer's {r.what} came, was verified and accepted, digest {r.digest[:16]}…"
            case Selected() as r:
                yield f"{_at(past)}{r.label} was selected out of it, with a global loss of {r.mean:.6g} a sample"
            case Closed() as r:
                model = f"{r.label} of round {r.round}, model {r.state[:16]}…"
                ours = seen.evidence.site is not None and seen.evidence.site.role == "learner"
                end = "the closing names what both end with, once it is imported:" if ours else "by it both sides have"
                yield f"{_at(past)}{end} {model}"
            case Restored() | Reset() as r:
                yield f"{_at(past)}{mended(seen, r)}{_rebuilt(r)}"


def _in_order(found: Evidence) -> tuple[Past, ...]:
    """The record as things happened: in a ledger that was rebuilt the reset stands before what it found."""
    past = found.past
    for i, each in enumerate(past):
        if found.told_by == "ledger" and isinstance(each.record, Reset) and each.record.bundles is not None:
            end = each.record.rebuilt
            return (*past[:i], *past[i + 1 : end], each, *past[end:])
    return past


def _found(record: Exported | Accepted) -> str:
    """What a reset found that was done, and did not see done."""
    if isinstance(record, Exported):
        return f"'{record.bundle}' was handed over, for the peer answered it"
    return f"the peer's {record.what} was there, accepted before, digest {record.digest[:16]}…"


def _rebuilt(record: Restored | Reset) -> str:
    """What the lines before it are."""
    if isinstance(record, Restored) or record.bundles is None:
        return ""
    return f"; what stands above was found in {count(record.bundles, 'signed bundle')}"


def _at(past: Past) -> str:
    return f"{past.at[:16].replace('T', ' ')}: " if past.at else "at a time that nobody knows: "


def _when(at: str | None) -> str:
    return f" at {at[:16].replace('T', ' ')} UTC" if at else ""
