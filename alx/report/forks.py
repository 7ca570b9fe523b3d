"""How what `alx.forks` found is told to people.

Knows what was compared; compares nothing.
"""

from alx.bundle import keys
from alx.errors import count, escape
from alx.forks import Comparison, Sealed


def lines(found: Comparison) -> list[str]:
    """What was compared and what was found, line by line."""
    copies = sum(len(b.paths) for b in found.bundles.values())
    out = [f"compared {count(copies, 'copy', 'copies')} of {count(len(found.bundles), 'bundle')}, each good by itself:"]
    for bundle in sorted(found.bundles.values(), key=lambda b: b.name):
        out.append(f"  {bundle.turn:<26} {bundle.digest[:16]}…  in {_where(bundle)}")
        out += [f"  {'':<26} {told}" for told in _bad_day(bundle)]
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
    return out if found.forks else [*out, "one history: no turn was sealed twice"]


def _where(bundle: Sealed) -> str:
    return " and ".join(f"'{escape(str(path), 300)}'" for path in bundle.paths)


def _bad_day(bundle: Sealed) -> list[str]:
    """That the sender's site was restored before it sealed this, in one line; nothing where it was not."""
    said = bundle.restored
    if said is None:
        return []
    how = "restored from a backup" if said.how == "backup" else "rebuilt from signed bundles"
    to = f"round {said.round}" if said.round else "the time before its first round"
    return [f"its sender says that the site was {how} at {said.at}, to {to}; that explains a second one and excuses none"]
