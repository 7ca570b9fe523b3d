"""System: the exchange as a whole. Both sides, the agreement between them, each bundle that went between them."""

from alx import plan as plans
from alx.bundle import keys
from alx.bundle.manifest import Manifest
from alx.evidence import AGREED, ALL_TURNS, Bundle
from alx.plan import Plan
from alx.report import audit as told
from alx.report.page import hand_over
from alx.report.page.content import Cell, Cluster, Column, Element, Part, Standing, Table
from alx.report.page.seen import Seen, size
from alx.verified import BundleReport


def cluster(seen: Seen) -> Cluster:
    """What is told of the exchange."""
    parts = [_exchange(seen), *([] if seen.plan is None else [_agreement(seen.plan)]), *_alone(seen), _bundles(seen)]
    parts += [] if seen.evidence.site is None else [hand_over.received(seen)]
    words = "The exchange: two sites that improve one model in turns, and a disk that people carry between them."
    return Cluster(key="system", title="System", words=words, parts=parts)


def _exchange(seen: Seen) -> Part:
    site, plan = seen.evidence.site, seen.plan
    compared: Standing = "checked" if AGREED in seen.evidence.checked else "recorded"
    purpose = "alx is not told what the model is for; the plan's name is all it knows"
    return Part(
        title="Who takes part",
        elements=[
            Element(
                name="name",
                value=None if plan is None else plan.name,
                standing="unknown" if plan is None else "agreed",
                note="a bundle alone has only the plan's digest" if plan is None else "",
            ),
            Element(
                name="plan",
                value=seen.plan_digest,
                standing=("claimed" if site is None else compared) if seen.plan_digest else "unknown",
                note="SHA-256 of plan.toml: both sites have the same file, or they refuse each other",
            ),
            Element(name="purpose", value=None, standing="unknown", note=purpose),
            *([] if site is None else [Element(name="this site is the", value=site.role, standing="recorded")]),
            _nothing_else(seen),
        ],
    )


def _nothing_else(seen: Seen) -> Element:
    """What a bundle has beside weights and the numbers that are listed: nothing, where it could be looked into."""
    whole = bool(seen.opened) and len(seen.opened) == len(seen.evidence.bundles)
    what = "weights, recipes, a sample count, a loss sum for each model, and the global loss where the turn began, travel"
    if any(m.spending for _, m in seen.turns):
        what += ", and what of the privacy budget is spent"
    return Element(
        name="what else is in the bundles",
        value="nothing: no other file, tensor or field" if whole else None,
        standing="checked" if whole else "unknown",
        note=f"{what}; what these can tell: docs/threat-model.md",
    )


def _agreement(plan: Plan) -> Part:
    lines = plans.written(plan).decode("utf-8").splitlines()
    rows: list[list[Cell]] = [list(line.partition(" = ")[::2]) for line in lines]
    columns = [Column(name="field"), Column(name="value")]
    table = Table(caption="plan.toml, without what has its default value", standing="agreed", columns=columns, rows=rows)
    return Part(title="What was agreed", words=["docs/plan.md says what each field means."], tables=[table])


def _alone(seen: Seen) -> list[Part]:
    """What a bundle that was looked at by itself says of its place in the exchange."""
    if seen.evidence.site is not None or not seen.opened:
        return []
    report = seen.opened[0]
    m = report.manifest
    restored = m.restoration if isinstance(m, Manifest) else None
    elements = [
        Element(name="digest", value=report.digest, standing="checked", note="SHA-256 over all that is signed"),
        Element(name="its words", value=keys.words(report.digest), standing="checked", note="as on the label of its disk"),
        Element(name="from", value=f"the {m.sender.role}, key {m.sender.key}", standing="checked", note="it signed this"),
        Element(name="to", value=f"the {m.receiver.role}, key {m.receiver.key}", standing="claimed"),
        Element(name="place in the exchange", value=m.sequence, standing="claimed", note="both sides' bundles counted"),
        Element(name="answers", value=m.answers or "nothing: it is the first", standing="claimed", note=_PEERS),
        Element(name="follows", value=m.previous or "nothing: its sender's first", standing="claimed", note=_OWN),
    ]
    if restored is not None:
        value = told.mended(restored)
        elements.append(
            Element(name="the sender's site was restored", value=value, standing="claimed", note="see the findings")
        )
    return [Part(title="This bundle", elements=elements)]


_PEERS = "digest of the receiver's bundle before it"
_OWN = "digest of the sender's own bundle before it"


def _bundles(seen: Seen) -> Part:
    order = "the order of all bundles, and what each answers, holds"
    whole = ALL_TURNS in seen.evidence.checked
    columns = [
        Column(name="place"),
        Column(name="from"),
        Column(name="to"),
        Column(name="bundle"),
        Column(name="here since, UTC", kind="time"),
        Column(name="found now"),
        Column(name="bytes", kind="number"),
        Column(name="models", kind="number"),
        Column(name="digest", kind="digest"),
    ]
    rows = [_row(seen, bundle, place) for bundle, place in seen.told()]
    table = Table(caption="Every bundle, in its order", standing="checked", columns=columns, rows=rows)
    legend = ["Place: the round, and L for the learner's bundle or P for the provider's; end is the closing."]
    if seen.evidence.site is not None:
        legend.append("Times are as this site recorded; of a bundle that does not hold, so are its name and digest.")
    return Part(
        title="What went from one side to the other",
        words=[*legend, *seen.caveat],
        elements=[Element(name="chain", value=order, standing="checked")] if whole else [_not_whole(seen)],
        tables=[table] if rows else [],
    )


def _not_whole(seen: Seen) -> Element:
    why = "a bundle alone shows only what it says of the one before it" if seen.evidence.site is None else "see the findings"
    if not seen.evidence.faults and seen.evidence.site is not None:
        why = "encrypted bundles could not be opened here: this copy of the site has no age key"
    return Element(name="chain", value=None, standing="unknown", note=f"the order of all bundles was not checked: {why}")


def _row(seen: Seen, bundle: Bundle, place: str) -> list[Cell]:
    report, turn = bundle.report, bundle.turn
    sender, receiver = seen.sides(bundle)
    name = digest = None
    if report is not None:
        name, digest = report.name, report.digest
    elif turn is not None:
        name, digest = turn.bundle, turn.digest
    since = None if digest is None else seen.since.get(digest)
    models = len(report.candidates) if isinstance(report, BundleReport) else None
    nbytes = None if report is None else size(report)
    return [place, sender, receiver, name, since, _found(bundle), nbytes, models, digest]


def _found(bundle: Bundle) -> str:
    match bundle.report, bundle.fault:
        case None, None:
            return "not looked at"
        case None, _:
            return "does not hold"
        case BundleReport(), None:
            return "good"
        case _, None:
            return "good from outside; encrypted"
        case _:
            return "good, but for its blends, which could not be made"
