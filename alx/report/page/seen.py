"""Evidence as the clusters read it: who, which bundles, which plan; the little that more than one of them asks for.

Knows evidence; makes no words but short names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from alx.bundle.closing import Closing
from alx.bundle.manifest import Manifest
from alx.evidence import Bundle, Evidence
from alx.plan import Plan
from alx.records import Role
from alx.site import handed_over
from alx.site.entries import Closed, Created, Exported, Given, Paired, Reset, Restored, Selected, Turn
from alx.site.handed_over import HandedOver
from alx.verified import BundleReport, Ciphertext


@dataclass(frozen=True)
class Seen:
    """What a report is made of.

    Attributes:
        evidence: all that was found.
        written: when, ISO 8601 in UTC.
        signature: name of the file of the signature beside the report; None where it is not signed.
        signer: fingerprint of the key that signs it.
    """

    evidence: Evidence
    written: str
    signature: str | None = None
    signer: str | None = None

    @property
    def plan(self) -> Plan | None:
        """The agreement, where it is at hand: a bundle alone has only its digest."""
        return None if self.evidence.site is None else self.evidence.site.plan

    @cached_property
    def reports(self) -> list[BundleReport | Ciphertext]:
        """Those bundles that hold."""
        return [b.report for b in self.evidence.bundles if b.report is not None]

    @cached_property
    def opened(self) -> list[BundleReport]:
        """Those of them that could be read."""
        return [r for r in self.reports if isinstance(r, BundleReport)]

    @cached_property
    def turns(self) -> list[tuple[BundleReport, Manifest]]:
        """Those of them that hold models, in the order of the exchange."""
        each = [(r, r.manifest) for r in self.opened if not isinstance(r.manifest, Closing)]
        return sorted(each, key=lambda t: t[1].sequence)

    @cached_property
    def selected(self) -> list[tuple[Selected, str | None]]:
        """Every selection, and when."""
        return [(p.record, p.at) for p in self.evidence.past if isinstance(p.record, Selected)]

    @cached_property
    def closed(self) -> Closed | None:
        """The end of the exchange, where it came to one."""
        return next((p.record for p in self.evidence.past if isinstance(p.record, Closed)), None)

    @cached_property
    def created(self) -> Created | None:
        """That the site was made."""
        return next((p.record for p in self.evidence.past if isinstance(p.record, Created)), None)

    @cached_property
    def paired(self) -> Paired | None:
        """The last pairing."""
        return next((p.record for p in reversed(self.evidence.past) if isinstance(p.record, Paired)), None)

    @cached_property
    def handed_over(self) -> dict[str, tuple[Exported, str | None]]:
        """By digest of a bundle, that all of it was put on a disk, and when; the last time counts."""
        return {
            p.record.digest: (p.record, p.at)
            for p in self.evidence.past
            if isinstance(p.record, Exported) and p.record.names is None
        }

    @cached_property
    def gone(self) -> list[HandedOver]:
        """The same in the order of the exchange: every time, and whether it is known that the peer has it."""
        return handed_over.of((p.record, p.at) for p in self.evidence.past)

    @cached_property
    def given(self) -> list[Given]:
        """This site's own receipts that were written for the peer."""
        return [e.record for e in self.evidence.log if isinstance(e.record, Given)]

    @cached_property
    def approvals(self) -> list[str]:
        """Fingerprint of the officer of each approval that went beside a bundle of this site's."""
        there = {(p.record.digest, p.record.officers) for p in self.evidence.past if isinstance(p.record, Exported)}
        return [each for _, officers in there for each in officers or ()]

    @cached_property
    def since(self) -> dict[str, str | None]:
        """By digest of a bundle, when it was sealed or accepted here."""
        return {p.record.digest: p.at for p in self.evidence.past if isinstance(p.record, Turn)}

    @property
    def folder(self) -> Path | None:
        """The site's; None where a bundle was looked at alone."""
        return None if self.evidence.site is None else self.evidence.site.folder

    @property
    def mended(self) -> bool:
        """Whether the site was restored, or its ledger rebuilt: its record may lack what was lost."""
        return any(isinstance(p.record, Restored | Reset) for p in self.evidence.past)

    @property
    def caveat(self) -> list[str]:
        """What stands beside a count, where the record may lack something."""
        told = "Counted by this site's record, which was mended: of a bundle that was sealed and lost it knows nothing."
        return [told] if self.mended else []

    @property
    def plan_digest(self) -> str | None:
        """SHA-256 of the plan."""
        if self.evidence.site is not None:
            return self.evidence.site.plan_file.digest
        return self.opened[0].manifest.plan if self.opened else None

    def tick(self, bundle: Bundle) -> str | None:
        """Where a bundle stands in the exchange, as short as a plot needs it: `1L`, `1P`; None where it is not known."""
        if bundle.report is not None:
            turn = bundle.report.turn
            return "end" if turn.kind == "closing" else f"{turn.round}{turn.kind[0].upper()}"
        if bundle.turn is None:
            return None
        sender, _ = self.sides(bundle)
        return "end" if bundle.turn.closing or sender is None else f"{bundle.turn.round}{sender[0].upper()}"

    def sides(self, bundle: Bundle) -> tuple[Role | None, Role | None]:
        """Whose a bundle is, and for whom; None where it is not known."""
        if isinstance(bundle.report, BundleReport):
            return bundle.report.manifest.sender.role, bundle.report.manifest.receiver.role
        if self.evidence.site is None:
            return None, None
        own = self.evidence.site.role
        return (own, other(own)) if bundle.ours else (other(own), own)

    def told(self) -> Iterator[tuple[Bundle, str]]:
        """Every bundle in its order, with its place; `-` where that is not known."""
        for bundle in self.evidence.bundles:
            yield bundle, self.tick(bundle) or "-"


def place(said: Manifest | Closing) -> str:
    """Where a bundle stands in the exchange: the round, and whose it is; `end` for the closing."""
    return "end" if isinstance(said, Closing) else f"{said.round}{said.sender.role[0].upper()}"


def size(report: BundleReport | Ciphertext) -> int:
    """Bytes of all its files."""
    return report.size


def other(role: Role) -> Role:
    """The other side."""
    return "provider" if role == "learner" else "learner"
