"""How is told whether what was handed over was received.

Knows what `alx.site.handed_over` found; verifies nothing.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from alx.errors import count, escape
from alx.records import MAX_PERSON, Role
from alx.site.entries import Event, Given, Received, Refused
from alx.site.handed_over import HandedOver

if TYPE_CHECKING:  # an audit of a bundle reads no ledger
    from alx.site.position import Position

MAX_PEOPLE = 10  # named in a line; the event log has all


def last(gone: Sequence[HandedOver]) -> list[str]:
    """Of the bundle that was handed over last, in a line; nothing where none was."""
    if not gone:
        return []
    newest = gone[-1]
    at = f",{_day(newest.at)}" if newest.at else ""
    more = f", and {count(len(newest.again), 'time')} more" if newest.again else ""
    return [f"handed over: the {newest.turn.what}{at}{more}; {received(newest)}"]


def received(one: HandedOver) -> str:
    """Whether it is known that the peer has it, and how."""
    if one.receipt is not None:
        return f"received{_day(one.receipt.accepted)}, as the peer's receipt says{by(one.receipt.by)}"
    if one.answer is not None:
        return f"received: the peer's {one.answer.what}, imported{_day(one.answered)}, answers it"
    return "not known to be received yet"


def taken(record: Received) -> str:
    """What a receipt says that was just read."""
    at = "" if record.accepted is None else f", {record.accepted[:16].replace('T', ' ')} UTC by its clock"
    return f"'{record.bundle}' was received: the peer accepted it{at}{by(record.by)}, signed with {record.key[:16]}…"


def other(accepted: str | None, person: str | None) -> str:
    """What another receipt of a bundle says, of which one was read already."""
    at = "at a time that it does not know" if accepted is None else f"{accepted[:16].replace('T', ' ')} UTC"
    return (
        f"this is another receipt of it: accepted {at}{by(person)}; the one that was read first counts, and nothing changed"
    )


def by(person: str | None) -> str:
    """Who took it, where somebody was named."""
    return "" if person is None else f", by '{escape(person, MAX_PERSON)}'"


def owed(position: "Position", role: Role, log: Iterable[Event]) -> list[str]:
    """That the provider's receipt of the closing is still to be written, in a line; nothing where it was, or is not due.

    Its event comes before its file has the name, so a disk's refusal of that file right after it says that there is none.
    Killed in between, no refusal tells, and it counts as written.

    Args:
        position: where the exchange stands.
        role: this site's.
        log: its events.
    """
    if role != "provider" or position.step != "done":
        return []
    closing = position.accepted[-1].digest
    for each, after in itertools.pairwise([*log, None]):
        if isinstance(each, Given) and each.digest == closing and not _unnamed(each, after):
            return []
    return ["no disk follows: alx receipt -o FILE tells the learner that its closing came; send it as you like"]


def _unnamed(given: Given, after: Event | None) -> bool:
    """Whether what came right after a receipt's event says that its file did not get its name.

    Between the two only a disk refuses. Any other refusal is of another try, and so is one of another file. Another try to
    write the same file, refused by the disk before its event, is taken for this one: the receipt is asked for once more.
    """
    if not isinstance(after, Refused) or after.command != "receipt" or after.error not in ("StorageError", "SpaceError"):
        return False
    return after.about in ("", given.file)  # "" where nobody named a file


def beside(given: Sequence[Given], approvals: Sequence[str]) -> list[str]:
    """What went out beside this site's bundles, in a line: receipts with what they say, and officers' approvals.

    Args:
        given: this site's receipts, as its event log has them.
        approvals: fingerprint of the officer of each approval.
    """
    out = []
    if given:
        people = list(dict.fromkeys(f"'{escape(each.by, MAX_PERSON)}'" for each in given if each.by))
        more = f" and {len(people) - MAX_PEOPLE} more" if len(people) > MAX_PEOPLE else ""
        named = f", and {count(len(people), 'name')}: {', '.join(people[:MAX_PEOPLE])}{more}" if people else ""
        of = count(len({each.digest for each in given}), "bundle of the peer's", "bundles of the peer's")
        out.append(f"receipts of {of}, with both keys, and the time at which each was accepted{named}")
    if approvals:
        keys = count(len(set(approvals)), "officer's key", "officers' keys")
        out.append(f"{count(len(approvals), 'approval')} by {keys}")
    return [" and ".join(out)] if out else []


def json(gone: Sequence[HandedOver]) -> dict[str, object] | None:
    """Of the bundle that was handed over last, for machines."""
    if not gone:
        return None
    newest = gone[-1]
    return {
        "bundle": newest.turn.bundle,
        "digest": newest.turn.digest,
        "at": newest.at,
        "again": list(newest.again),
        "receipt": None if newest.receipt is None else newest.receipt._asdict(),
        "answered_by": None if newest.answer is None else newest.answer.bundle,
    }


def _day(at: str | None) -> str:
    return "" if at is None else f" {at[:10]}"
