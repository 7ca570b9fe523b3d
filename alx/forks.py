"""Bundles side by side: whether a key signed two histories of one exchange, and whether digests join them into one.

Knows what `alx.audit` verified; verifies nothing, opens no file. Each bundle is good by itself: only beside another does it
show that its sender sealed a turn twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from alx import order
from alx.bundle import keys
from alx.bundle.layout import Place, place
from alx.bundle.manifest import Head, Manifest
from alx.bundle.restored import Restored
from alx.errors import ForkError, count
from alx.verified import BundleReport, Ciphertext, ShareReport

Verified = BundleReport | Ciphertext | ShareReport


class Copy(NamedTuple):
    """Where a bundle lies; `disk` of `disks` where it is what lies on one of several, else None."""

    path: Path
    disk: int | None = None
    disks: int | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A bundle, and every copy of it that was compared.

    Attributes:
        digest: the bundle's.
        name: as signed.
        signer: fingerprint of the key that signed it.
        head: whom it is for and what it follows; None where it is encrypted and no key was at hand.
        copies: where it lies, all of it or a share.
    """

    digest: str
    name: str
    signer: str
    head: Head | None
    copies: tuple[Copy, ...]

    @property
    def words(self) -> str:
        """The twelve words of its digest, as on a label."""
        return keys.words(self.digest)

    @property
    def turn(self) -> Place:
        """Which turn it is."""
        return place(self.name)

    @property
    def restored(self) -> Restored | None:
        """That its sender's site was restored before, where it says so."""
        return self.head.restoration if isinstance(self.head, Manifest) else None

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "digest": self.digest,
            "words": self.words,
            "name": self.name,
            "round": self.turn.round,
            "kind": self.turn.kind,
            "signer": self.signer,
            "manifest_read": self.head is not None,
            "previous": None if self.head is None else self.head.previous,
            "answers": None if self.head is None else self.head.answers,
            "restored": None if self.restored is None else self.restored.model_dump(),
            "copies": [c._asdict() for c in self.copies],
        }


@dataclass(frozen=True, slots=True)
class Fork:
    """One place in an exchange for which there are several bundles.

    Attributes:
        turn: which, for people.
        digests: of the bundles, two at least.
        named_by: for each digest the bundles that name it as the one before them, in the order of `digests`.
    """

    turn: str
    digests: tuple[str, ...]
    named_by: tuple[tuple[Sealed, ...], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what was found.

    Attributes:
        bundles: by digest, each once.
        forks: none where no turn was sealed twice, as far as could be seen.
        parts: the bundles of which could be seen what they follow; in each part they are joined through the digests that
            they name. What joins two parts is not here, and keys that were replaced in between may hide a fork.
    """

    bundles: dict[str, Sealed]
    forks: tuple[Fork, ...]
    parts: tuple[tuple[Sealed, ...], ...]

    @property
    def one_history(self) -> bool:
        """Whether it is shown: all of them are joined, and each turn was sealed once."""
        return len(self.parts) == 1 and not self.unseen and not self.forks

    @property
    def unseen(self) -> int:
        """Number of bundles of which nobody here could see what they follow: encrypted, and no key was at hand."""
        return sum(b.head is None for b in self.bundles.values())

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "valid": not self.forks,
            "one_history": self.one_history,
            "manifests_not_read": self.unseen,
            "bundles": [b.json() for b in self.bundles.values()],
            "forks": [
                {
                    "turn": fork.turn,
                    "sealed": [
                        {
                            "digest": digest,
                            "words": keys.words(digest),
                            "here": digest in self.bundles,
                            "named_by": [b.digest for b in by],
                        }
                        for digest, by in zip(fork.digests, fork.named_by, strict=True)
                    ],
                }
                for fork in self.forks
            ],
        }

    def refuse(self) -> None:
        """Refuse more than one history.

        Raises:
            ForkError: a turn was sealed twice, or a bundle names another one than the one that is here.
        """
        if not self.forks:
            return
        first, more = self.forks[0], len(self.forks) - 1
        told = " and ".join(d[:16] + "…" for d in first.digests)
        also = f"; {count(more, 'more turn')} too" if more else ""
        if sum(d in self.bundles for d in first.digests) > 1:
            raise ForkError(
                f"{first.turn} was sealed {len(first.digests)} times, with the digests {told}{also}",
                "keep every copy: together the signatures prove it; ask the sender which one is to count",
            )
        raise ForkError(
            f"the bundles name {len(first.digests)} for {first.turn}, with the digests {told}{also}",
            "ask both sites for that bundle: either it was sealed twice, or a bundle names one that never was",
        )


def compared(reports: Iterable[Verified]) -> Comparison:
    """Find every turn for which there are two bundles, or for which two are named.

    Every bundle names the one before it of each side, so each stands for a whole history. Two histories of one exchange
    differ in a bundle that is here, or in what those that are here say of the ones before them: between the same two keys,
    or whatever the keys where digests join them.

    Args:
        reports: of bundles that were verified, in any order; several may be copies of one.
    """
    bundles: dict[str, Sealed] = {}
    for report in reports:
        one = _sealed(report)
        before = bundles.get(one.digest)
        if before is not None:
            one = Sealed(one.digest, one.name, one.signer, before.head or one.head, (*before.copies, *one.copies))
        bundles[one.digest] = one
    places: dict[tuple[object, ...], tuple[str, dict[str, None]]] = {}
    named: dict[str, list[Sealed]] = {}
    parts = _joined(bundles.values())
    part_of = {bundle.digest: i for i, part in enumerate(parts) for bundle in part}
    for bundle in bundles.values():
        for where, turn, digest in _claims(bundle, part_of.get(bundle.digest)):
            places.setdefault(where, (turn, {}))[1][digest] = None
        if bundle.head is not None:
            for head in {bundle.head.previous, bundle.head.answers} - {None}:
                named.setdefault(str(head), []).append(bundle)
    forks: dict[frozenset[str], Fork] = {}
    for turn, digests in places.values():
        if len(digests) > 1:
            by = tuple(tuple(named.get(digest, ())) for digest in digests)
            forks.setdefault(frozenset(digests), Fork(turn, tuple(digests), by))
    apart = tuple(f for each, f in forks.items() if not any(each < other for other in forks))
    return Comparison(bundles, apart, parts)


def _sealed(report: Verified) -> Sealed:
    signer = report.signer.fingerprint
    match report:
        case BundleReport():
            return Sealed(report.digest, report.manifest.name(), signer, report.manifest, (Copy(report.path),))
        case Ciphertext():
            return Sealed(report.digest, report.name, signer, None, (Copy(report.path),))
        case ShareReport():
            here = Copy(report.path, report.part.disk, len(report.part.counts))
            return Sealed(report.signed.digest, report.signed.name, signer, report.manifest, (here,))


def _joined(bundles: Iterable[Sealed]) -> tuple[tuple[Sealed, ...], ...]:
    """In parts: of one are those that name one another, or the same bundle, in one place of one plan's exchange."""
    parts: list[tuple[set[tuple[object, ...]], tuple[Sealed, ...]]] = []
    for bundle in bundles:
        if bundle.head is None:
            continue
        names = {(bundle.head.plan, *each) for each in _named(bundle.head, bundle.digest)}
        met = [part for part in parts if part[0] & names]
        parts = [part for part in parts if not part[0] & names]
        parts.append((names.union(*(n for n, _ in met)), (*(b for _, some in met for b in some), bundle)))
    return tuple(some for _, some in parts)


def _named(head: Head, digest: str) -> Iterator[tuple[int, str]]:
    """The places in the exchange that a bundle tells of, by their sequence, and the digest of what it says is there."""
    yield head.sequence, digest
    if head.previous is not None:
        yield head.sequence - 2, head.previous
    if head.answers is not None:
        yield head.sequence - 1, head.answers


def _claims(bundle: Sealed, part: int | None) -> Iterator[tuple[tuple[object, ...], str, str]]:
    """What a bundle says: that in a place of the exchange, which people call so, there is the bundle of a digest."""
    turn = str(bundle.turn)
    yield (bundle.signer, bundle.name), turn, bundle.digest
    m = bundle.head
    if m is None:
        return
    if m.previous is not None:
        # keys may have been rotated in between: the digest says which exchange it is
        yield ("after", m.plan, m.sender.role, m.previous), turn, bundle.digest
    keys_of = frozenset((m.sender.key, m.receiver.key))
    for sequence, digest in _named(m, bundle.digest):
        what = turn if sequence == m.sequence else _turn(sequence)
        yield (m.plan, keys_of, sequence), what, digest
        yield (part, sequence), what, digest  # as above, with every digest that joins them


def _turn(sequence: int) -> str:
    return f"round {order.round_of(sequence)} of the {'learner' if sequence % 2 else 'provider'}"
