"""How what `alx.forks` found is told to people.

Knows what was compared; compares nothing.
"""

from alx.bundle import keys
from alx.errors import count, escape
from alx.forks import Comparison, Copy, Sealed
from alx.report.audit import mended


def lines(found: Comparison) -> list[str]:
    """What was compared and what was found, line by line."""
    copies = [c for b in found.bundles.values() for c in b.copies]
    shares = sum(c.disk is not None for c in copies)
    whole = len(copies) - shares
    what = [*([count(whole, "copy", "copies")] if whole else []), *([count(shares, "share")] if shares else [])]
    good = "good as far as it lies here" if shares else "good by itself"
    out = [f"compared {' and '.join(what)} of {count(len(found.bundles), 'bundle')}, each {good}:"]
    for bundle in sorted(found.bundles.values(), key=lambda b: (b.turn.plan, b.turn.sequence, b.digest)):
        out.append(f"  {bundle.turn!s:<26} {bundle.digest[:16]}…  in {_where(bundle)}")
        out += [f"  {'':<26} {told}" for told in _bad_day(bundle)]
    if found.unseen:
        out.append(
            f"LOOK: of {count(len(found.bundles), 'bundle')} what {found.unseen} answer and follow could not be seen: "
            "encrypted, and no age key is at hand; run it inside one of the two sites, and name no key"
        )
    for fork in found.forks:
        out.append(f"LOOK: {len(fork.digests)} bundles for {fork.turn}:")
        for digest, by in zip(fork.digests, fork.named_by, strict=True):
            here = found.bundles.get(digest)
            out += [f"  digest     {digest}", f"  its words  {keys.words(digest)}"]
            if here is None:
                out.append("  lies       in none of these places")
            else:
                out += [f"  lies       in {_where(here)}", f"  signed     by the key {here.signer}"]
                out += [f"  LOOK       {told}" for told in _bad_day(here)]
            out += [f"  named by   '{escape(b.name)}', digest {b.digest[:16]}…" for b in by]
    if found.forks:
        return out
    if len(found.parts) > 1:
        out.append(
            f"LOOK: {len(found.parts)} parts, and nothing here joins them: whether they are one history could not be seen"
        )
        out += [f"  part {i:<5} {_part(part)}" for i, part in enumerate(found.parts, 1)]
    how = "one history:" if found.one_history else "as far as could be seen"
    return [*out, f"{how} no turn was sealed twice"]


def _part(part: tuple[Sealed, ...]) -> str:
    """From its first bundle to its last."""
    ordered = sorted(part, key=lambda b: b.turn.sequence)
    ends = dict.fromkeys(f"{b.turn} ({b.digest[:16]}…)" for b in (ordered[0], ordered[-1]))
    return f"{count(len(part), 'bundle')}: {' to '.join(ends)}"


def _where(bundle: Sealed) -> str:
    return " and ".join(f"'{escape(str(c.path), 300)}'{_disk(c)}" for c in bundle.copies)


def _disk(copy: Copy) -> str:
    return "" if copy.disk is None else f" (disk {copy.disk} of {copy.disks})"


def _bad_day(bundle: Sealed) -> list[str]:
    """That the sender's site was restored before it sealed this, in one line; nothing where it was not."""
    if bundle.restored is None:
        return []
    return [f"its sender says that the site was {mended(bundle.restored)}; that explains a second one and excuses none"]
