"""Data properties: the numbers about data that travelled, and how a sample becomes an input. No data, and no path to any."""

from alx.bundle.manifest import Manifest
from alx.columns import Columns
from alx.errors import count
from alx.plan import Images, Plan
from alx.report.page.content import Cell, Cluster, Column, Element, Part, Table, listed
from alx.report.page.seen import Seen, place
from alx.site.entries import Described, Leakage


def cluster(seen: Seen) -> Cluster:
    """What is told of the data."""
    words = "Data stay where they are. What is known of them here are these numbers, which travelled, and how they are read."
    return Cluster(
        key="data",
        title="Data properties",
        words=words,
        parts=[_sides(seen), _travelled(seen), *_attacks(seen), *_reading(seen.plan)],
    )


def _sides(seen: Seen) -> Part:
    own, peer, site = seen.evidence.own, seen.evidence.peer, seen.evidence.site
    told = []
    if own is not None:
        told.append(Element(name="samples of this site", value=own.file.samples, standing="agreed", note=_SUMMED))
    if peer is not None:
        note = "the peer introduced itself with it, and each of its bundles has to say the same"
        told.append(Element(name="samples of the peer", value=peer.file.samples, standing="claimed", note=note))
    if site is None:
        told += [
            Element(name=f"samples of the {m.sender.role}", value=m.samples, standing="claimed", note=_SUMMED)
            for m in (r.manifest for r in seen.opened)
        ]
    elif site.config.data is not None:
        told.append(
            Element(name="kind of this site's data", value=site.config.data.kind, standing="recorded", note="site.toml")
        )
    described = [e for e in seen.evidence.log if isinstance(e.record, Described)]
    told += [
        Element(
            name="description written", value=f"{e.record.file}, at {e.at[:19]}", standing="recorded", note=_least(e.record)
        )
        for e in described
        if isinstance(e.record, Described)
    ]
    told += [
        Element(name="provenance", value=None, standing="unknown", note="where data come from is not told to alx"),
        Element(name="sensitivity", value=None, standing="unknown", note="personal data or not: not told to alx"),
        Element(name="licence, consent", value=None, standing="unknown", note="not told to alx"),
        Element(name="digest of the data", value=None, standing="unknown", note="a site keeps one, and tells nobody"),
    ]
    return Part(title="Whose data, and how many", elements=told)


_SUMMED = "those that loss sums are over"


def _least(record: Described) -> str:
    return f"no count below {record.least} stands in it; SHA-256 {record.digest}"


def _travelled(seen: Seen) -> Part:
    columns = [
        Column(name="place"),
        Column(name="samples", kind="number"),
        Column(name="loss sums", kind="number"),
        Column(name="least", kind="number"),
        Column(name="most", kind="number"),
        Column(name="global loss where it began; the closing's: of the last choice", kind="number"),
    ]
    rows: list[list[Cell]] = []
    for report in seen.opened:
        m = report.manifest
        losses = [c.loss for c in report.candidates]
        ends: list[Cell] = [min(losses), max(losses)] if losses else [None, None]
        rows.append([place(m), m.samples, len(losses), *ends, None if m.start is None else m.start.global_loss])
    caption = "Every number about data that stands in a bundle's manifest"
    words = ["A loss sum is over all samples of its sender. Weights can tell more than these numbers: docs/threat-model.md."]
    words += [f"Beside them the {m.sender.role}'s bundle of round {m.round} holds {MOMENTS}." for m in _telling(seen)]
    words += seen.caveat
    table = Table(caption=caption, standing="claimed", columns=columns, rows=rows)
    return Part(
        title="What the numbers about the data are", words=words, elements=_spent(seen), tables=[table] if rows else []
    )


MOMENTS = "second moments of its samples' features, with their sums by class"


def _telling(seen: Seen) -> list[Manifest]:
    """The bundles that hold them."""
    return [m for _, m in seen.turns if m.told is not None]


def _spent(seen: Seen) -> list[Element]:
    """What senders say that they have spent of their privacy budgets: of each side's last bundle."""
    last = {m.sender.role: m.spending for _, m in seen.turns if m.spending is not None}
    return [
        Element(
            name=f"privacy budget of the {role}",
            value=f"epsilon {s.epsilon:.4g} at delta {s.delta:g}, in {count(s.turns, 'turn')}; each loss sum has noise of "
            f"standard deviation {s.deviation:.4g}",
            standing="claimed",
            note="for each of its samples: docs/privacy.md; the choice is private too, so it need not be the least sum",
        )
        for role, s in last.items()
    ]


def _attacks(seen: Seen) -> list[Part]:
    """What this site found when it attacked its own bundles as their receiver could."""
    if seen.evidence.site is None:
        return []
    words = (
        "Run by this site, on itself: of two samples, how often is the one pointed to that was trained on? A guess has 0.5."
    )
    other = "That nothing was found does not make a bundle safe: docs/leakage.md says what is not tried."
    title, own = "What attacks on own bundles found", seen.evidence.site.role[0].upper()
    rows: list[list[Cell]] = [
        [f"{r.round}{own}", e.at, r.pairs, r.attack, r.auc, r.low, r.high, r.found, r.alarms, r.rare, r.epsilon, r.right]
        for e, r in ((e, e.record) for e in seen.evidence.log)
        if isinstance(r, Leakage)
    ]
    if not rows:
        none = Element(name="attacks on own bundles", value=None, standing="unknown", note="none was run: alx leakage")
        return [Part(title=title, elements=[none])]
    names = ("own samples", "area", "at least", "at most", "found at 1 false alarm in 100", "false alarms there")
    columns = [
        Column(name="place"),
        Column(name="when, UTC", kind="time"),
        Column(name=names[0], kind="number"),
        Column(name="strongest attack"),
        *(Column(name=name, kind="number") for name in names[1:]),
        Column(name="area where few of a class are held", kind="number"),
        Column(name="epsilon at least, by canaries", kind="number"),
        Column(name="share of classes told rightly", kind="number"),
    ]
    table = listed(caption="Attacks, of each run the strongest", standing="recorded", columns=columns, rows=rows, last=True)
    of_own = [m.round for m in _telling(seen) if m.sender.role == seen.evidence.site.role]
    missed = [f"Not attacked: what the bundle of round {number} holds beside models, {MOMENTS}." for number in of_own]
    return [Part(title=title, words=[words, *missed, other], tables=[table])]


def _reading(plan: Plan | None) -> list[Part]:
    if plan is None:
        return []
    told = []
    if plan.class_names:
        value = f"{count(len(plan.class_names), 'class', 'classes')}: {', '.join(plan.class_names)}"
        told.append(Element(name="classes", value=value, standing="agreed"))
    if plan.images is not None:
        told.append(Element(name="images become", value=_images(plan.images), standing="agreed"))
    if plan.columns is None and plan.images is None:
        told.append(Element(name="a sample becomes", value="the numbers as they are", standing="agreed"))
    tables = [] if plan.columns is None else [_columns(plan.columns)]
    return [Part(title="How a sample becomes an input", elements=told, tables=tables)]


def _images(images: Images) -> str:
    size = "as large as they are" if images.size is None else f"{images.size[0]} x {images.size[1]}"
    return f"{'grey' if images.channels == 1 else 'colour'}, {size}"


def _columns(columns: Columns) -> Table:
    rows: list[list[Cell]] = [[columns.label, "to be predicted"]]
    rows += [[name, "number"] for name in columns.numeric]
    rows += [[name, "date"] for name in columns.date]
    rows += [[name, f"one of {', '.join(c.values)}"] for name, c in columns.categorical.items()]
    rows += [[name, "id, never an input"] for name in columns.ids]
    names = [Column(name="column"), Column(name="what it is")]
    return Table(caption="Columns of the table, as the plan names them", standing="agreed", columns=names, rows=rows)
