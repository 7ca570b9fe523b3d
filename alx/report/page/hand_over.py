"""Hand-over: whether what was handed over is known to be received, and which drives were used.

Knows what the site recorded; verifies nothing.
"""

from alx.report import receipts
from alx.report.page.content import Cell, Column, Part, Table, listed
from alx.report.page.seen import Seen
from alx.site.entries import Given, Media


def received(seen: Seen) -> Part:
    """Of each bundle that was handed over, whether it is known that the peer has it."""
    rows: list[list[Cell]] = [
        [
            each.turn.bundle,
            each.at,
            each.again[-1] if each.again else None,
            receipts.received(each),
            None if each.receipt is None else each.receipt.accepted,
            None if each.receipt is None else each.receipt.by,
            None if each.receipt is None else each.receipt.key,
        ]
        for each in seen.gone
    ]
    columns = [
        Column(name="bundle"),
        Column(name="handed over first, UTC", kind="time"),
        Column(name="once more, the last time", kind="time"),
        Column(name="what is known"),
        Column(name="accepted, by the peer's clock", kind="time"),
        Column(name="by, as the peer says"),
        Column(name="key of the receipt", kind="digest"),
    ]
    table = Table(caption="Every bundle that was handed over", standing="recorded", columns=columns, rows=rows)
    return Part(
        title="Handed over, and received",
        words=[
            "A receipt is signed by the peer; without one, the peer's next bundle proves that it had the one it answers.",
            "This site's own receipts, of the peer's bundles, say when these were accepted, and who took the disk if named.",
        ],
        tables=[*([table] if rows else []), *_given(seen)],
    )


def _given(seen: Seen) -> list[Table]:
    """This site's own receipts: what each told the peer."""
    given = [(e.at, e.record) for e in seen.evidence.log if isinstance(e.record, Given)]
    rows: list[list[Cell]] = [[g.bundle, at, g.file, g.accepted, g.by] for at, g in given]
    columns = [
        Column(name="bundle of the peer's"),
        Column(name="receipt written, UTC", kind="time"),
        Column(name="file"),
        Column(name="accepted, as it says", kind="time"),
        Column(name="by, as it says"),
    ]
    caption = "Every receipt of this site's that was written for the peer"
    table = listed(caption=caption, standing="recorded", columns=columns, rows=rows)
    return [table] if rows else []


def media(seen: Seen) -> Part:
    """Which drives were named for exports and imports."""
    used = [(e, e.record) for e in seen.evidence.log if isinstance(e.record, Media)]
    rows: list[list[Cell]] = [[e.at, m.use, m.about, m.drive, m.serial, m.file_system, m.machine, m.by] for e, m in used]
    columns = [
        Column(name="when, UTC", kind="time"),
        Column(name="for"),
        Column(name="bundle"),
        Column(name="drive"),
        Column(name="serial number"),
        Column(name="file system"),
        Column(name="machine"),
        Column(name="by"),
    ]
    table = listed(caption="Drives that were named", standing="recorded", columns=columns, rows=rows)
    return Part(
        title="Media",
        words=["What a drive says of itself, and who was named with --by; what came of each stands in the security log."],
        tables=[table] if rows else [],
    )
