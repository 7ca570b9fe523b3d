"""How what `alx.audit` verified is told to people.

Knows reports and the ledger's records; verifies nothing.
"""

from pathlib import Path

from alx import files
from alx.bundle.closing import Closing
from alx.bundle.layout import place
from alx.bundle.manifest import Manifest
from alx.bundle.restored import Restored
from alx.errors import count, escape
from alx.report import receipts
from alx.site import entries
from alx.verified import BundleReport, Ciphertext, ShareReport, SiteReport


def bundle(report: BundleReport | Ciphertext | ShareReport) -> list[str]:
    """What is in a bundle, line by line; of an encrypted one, what is seen from outside; of a share, what is here."""
    if isinstance(report, ShareReport):
        return _share(report)
    return _ciphertext(report) if isinstance(report, Ciphertext) else _bundle(report)


def _ciphertext(report: Ciphertext) -> list[str]:
    size = files.size(sum(report.files.values()))
    return [
        f"bundle '{escape(files.named(report.path).name)}': good, as far as it can be seen from outside",
        f"  turn         {report.turn}, by the name that was signed",
        f"  digest       {report.digest}",
        f"  signature    valid, by the key {report.signer.fingerprint}",
        f"  files        {len(report.files)}, {size}; each is signed, and each is as it was signed",
        "what it holds: encrypted to two recipients, by the header of each file; whose the keys are cannot be seen",
        "run alx audit inside one of the two sites to see more",
    ]


def _share(report: ShareReport) -> list[str]:
    part, here, signed = report.part, report.sizes, report.signed
    others = " and ".join(str(k) for k in range(1, len(part.counts) + 1) if k != part.disk)
    gone = {name: f.size for name, f in signed.files.items() if name not in here}
    held, missing = (f"{count(len(x), 'file')}, {files.size(sum(x.values()))}" for x in (here, gone))
    return [
        f"disk {part.disk} of {len(part.counts)} of the bundle '{escape(signed.name)}': good, as far as it lies here",
        f"  digest       {signed.digest}",
        f"  signature    valid, by the key {report.signer.fingerprint}",
        f"  here         {held}; each is signed, and each is as it was signed",
        f"  not here     {missing}: on disk {others}",
        *([f"  turn         {place(signed.name)}, by the name that was signed"] if report.manifest is None else []),
        *([] if report.manifest is None else _head(report.manifest)),
        "what it holds: no model was opened, as parts of each lie on other disks; alx import-and-select takes all together",
    ]


def _bundle(report: BundleReport) -> list[str]:
    m = report.manifest
    lines = [
        f"bundle '{escape(files.named(report.path).name)}': good",
        f"  digest       {report.digest}",
        f"  signature    valid, by the key {report.signer.fingerprint}",
        f"  files        {report.files}, {files.size(report.size)}; each is signed, and each is as it was signed",
        *(
            ["  encrypted    to two recipients: the key of this site opens every file; whose the other is cannot be seen"]
            if report.encrypted
            else []
        ),
        *_head(m),
        "what it holds:",
        *(_closing(m) if isinstance(m, Closing) else _offer(report, m)),
    ]
    if m.start is not None:
        where = "at the chosen model" if isinstance(m, Closing) else "where it started"
        lines.append(f"  global loss  {m.start.global_loss:.6g} over {m.start.samples} samples on both sides, {where}")
    what = "closing" if isinstance(m, Closing) else "manifest"
    lines += [
        f"no other file, tensor or field: each file is signed, and signature, {what} and headers have their one form",
        "the numbers themselves, and how they are compressed, can tell more: docs/threat-model.md",
    ]
    return lines


def _head(m: Manifest | Closing) -> list[str]:
    """Whose it is, and where in the exchange."""
    restored = m.restoration if isinstance(m, Manifest) else None
    return [
        f"  from         the {m.sender.role}",
        f"  to           the {m.receiver.role}, key {m.receiver.key}",
        f"  plan         {m.plan}",
        f"  round        {m.round} (bundle {m.sequence} of the exchange)",
        f"  answers      {m.answers or 'nothing: it is the first'}",
        f"  follows      {m.previous or 'nothing: it is the first of its sender'}",
        *([] if restored is None else [f"  LOOK         its sender says that the site was {mended(restored)}"]),
    ]


def mended(said: Restored) -> str:
    """How, when, and how far back its sender's site was restored."""
    how = "restored from a backup" if said.how == "backup" else "rebuilt from signed bundles"
    to = f"round {said.round}" if said.round else "the time before its first round"
    return f"{how} at {said.at}, to {to}"


def _closing(said: Closing) -> list[str]:
    """What the closing says, which has no weights."""
    return [
        "  no model     it closes the exchange: it names the model that both sides end with",
        f"  chosen       candidate {said.start.candidate} of the bundle that it answers, the model {said.state}",
        "numbers about the sender's data:",
        f"  samples      {said.samples}",
    ]


def _offer(report: BundleReport, m: Manifest) -> list[str]:
    """The models that a bundle offers, and what it says of the sender's data."""
    numbers = sum(t.nbytes for t in m.tensors)
    steps = ", ".join(str(c.step) for c in m.snapshots)
    losses = [c.loss for c in m.candidates]
    size = f"{count(len(m.tensors), 'tensor')}, {files.size(numbers)} a snapshot"
    return [
        f"  model        {size}; every number in them is finite",
        *(f"                 {escape(t.name)} {t.dtype}{t.shape}" for t in m.tensors),
        *_stays(m),
        f"  snapshots    {len(m.snapshots)} with their weights, at the steps {steps}",
        *(
            ["  solved       1 with its weights, whose last layer was solved for out of both sides' moments"]
            if m.solves
            else []
        ),
        *_blends(report, m.blends),
        "numbers about the sender's data:",
        f"  samples      {m.samples}",
        f"  loss sums    {len(m.candidates)}, one for each snapshot and blend, from {min(losses):.6g} to {max(losses):.6g}",
        *_moments(m),
        *_spent(m),
    ]


def _moments(m: Manifest) -> list[str]:
    """What it says of the sender's samples beside their loss sums."""
    said = m.told
    if said is None:
        return []
    of = f"{count(said.features, 'feature')} and of their products, by class, of {said.classes} classes"
    return [f"  moments      sums of {of}: {files.size(said.layout.nbytes)}"]


def _spent(m: Manifest) -> list[str]:
    """What it says of the sender's privacy budget."""
    said = m.spending
    if said is None:
        return []
    return [
        f"  privacy      epsilon {said.epsilon:.4g} at delta {said.delta:g} a sample, in {count(said.turns, 'turn')} so far",
        f"  noise        {said.deviation:.4g} in each loss sum, and in each step {said.noise:.4g} times the clip",
    ]


def _stays(m: Manifest) -> list[str]:
    """What of the model is not in the bundle."""
    if m.stays is None:
        return []
    much = f"{count(m.stays.tensors, 'tensor')} more, {files.size(m.stays.bytes)}"
    return [
        f"  frozen       {much}, which both sites have and no bundle holds,",
        f"               named by the digest {m.stays.digest}",
    ]


def _blends(report: BundleReport, blends: int) -> list[str]:
    """How the blends travel, and what was seen of them."""
    mixes = "mixes of the last snapshot with states that the receiver has"
    if not blends:
        return []
    if not report.recipes:
        return [f"  blends       {blends} with their weights, {mixes}"]
    return [
        f"  blends       {blends} as recipes without weights, {mixes}; they were not made here:",
        "               what they are made of lies in other bundles too, and alx audit SITE makes them",
    ]


def site(target: Path, report: SiteReport) -> list[str]:
    """A site's history, line by line.

    Args:
        target: as a person named it.
        report: what was verified.
    """
    closing = ", the closing among them" if any(b.turn.kind == "closing" for b in report.bundles) else ""
    sent = [b for b in report.bundles if b.path.parent.name == "outbox"]
    counts = f"{len(sent)} sealed, {len(report.bundles) - len(sent)} accepted"
    resets = sum(isinstance(e.record, entries.Reset) and e.record.bundles is not None for e in report.events)
    refusals = [e.record for e in report.events if isinstance(e.record, entries.Refused)]
    own = sum(each.own for each in refusals)
    to_come = sum(bool(each.to_come) for each in refusals)
    waited = f"; {count(to_come, 'command')} said what was still to come" if to_come else ""
    refused = count(len(refusals) - own - to_come, "refusal") + (
        f", and {own} of its own data, paths or settings" if own else ""
    )
    made = sum(b.recipes for b in report.opened)
    blends = f", and {count(made, 'blend')} made by the recipe" if made else ""
    opened = len(report.opened) == len(report.bundles)
    verified = "each was verified whole" if opened else "each is as it was signed; they are encrypted, and none was opened"
    rebuilt = f"; its ledger was rebuilt {count(resets, 'time')}" if resets else ""
    entries_of = count(len(report.entries), "entry", "entries")
    return [
        f"site '{escape(str(target))}': good{rebuilt}",
        f"  ledger       {entries_of}, their chain holds, the last is {report.entries[-1].line.digest}",
        f"  event log    {count(len(report.events), 'event')}, their chain holds; {refused}{waited}",
        f"  bundles      {counts}{closing}; {verified}{blends}",
        *(
            []
            if opened
            else ["  LOOK         what is in them, and what each answers, was not seen: the age key is not here"]
        ),
        *(
            []
            if report.personal is None
            else [f"  personal     in no bundle; kept here, whole, of {count(report.personal, 'snapshot')} that were sealed"]
        ),
        "history, with the time in UTC by the machine's clock:",
        *(f"  {e.at[:19]}  {e.line.kind:<12} {escape(event(e.record, by_reset=e.by_reset), 400)}" for e in report.events),
        *(f"  {'not logged yet':<19}  {e.line.kind:<12} {escape(event(e.record), 400)}" for e in report.not_logged),
        _left(report, sent),
    ]


def event(event: entries.Event, *, by_reset: bool = False) -> str:
    """What an event says, for people."""
    told = _told(event, by_reset=by_reset)
    return f"rebuilt, the time is the reset's: {told}" if by_reset else told


def _told(event: entries.Event, *, by_reset: bool) -> str:  # noqa: C901, PLR0911, PLR0912 - one case for each kind
    match event:
        case entries.Created():
            return f"as the {event.role}, key {event.key[:16]}…"
        case entries.Paired():
            return f"with the key {event.key[:16]}…, {count(event.samples, 'sample')}"
        case entries.Renewal():
            return f"from the key {event.old[:16]}… to {event.new[:16]}…"
        case entries.Turn():
            return f"round {event.round}, '{event.bundle}', digest {event.digest[:16]}…{_approved(event.officers)}"
        case entries.Exported():
            back = "" if by_reset else ", read back from the disk"
            return f"round {event.round}{_part(event)}{_approved(event.officers)}{back}"
        case entries.Received():
            return f"round {event.round}, {receipts.taken(event)}"
        case entries.Selected():
            return f"round {event.round}, {event.label}, global loss {event.global_loss:.6g}{_flags(event.flags)}"
        case entries.Closed():
            rose = " (LOOK: the loss rose)" if event.loss_rose else ""
            loss = f"global loss {event.global_loss:.6g}"
            return f"round {event.round}, {event.label}, {loss}, model {event.state[:16]}…{rose}"
        case entries.Spent():
            so_far = "" if event.epsilon is None else f", epsilon {event.epsilon:.4g} at delta {event.delta:g} so far"
            return f"a share of the privacy budget for round {event.round}{so_far}"
        case entries.Restored():
            return f"from a backup with {count(event.entries, 'entry', 'entries')} in its ledger"
        case entries.Reset():
            return f"because '{event.reason}': {event.why}"
        case entries.Passphrase():
            return f"of the private key {event.what}"
        case entries.BackedUp():
            return f"to '{event.folder}', {count(event.files, 'file')}"
        case entries.Described():
            return f"in '{event.file}', digest {event.digest[:16]}…, no count below {event.least}"
        case entries.Leakage():
            area = f"area under ROC {event.auc:.2f} ({event.low:.2f} to {event.high:.2f})"
            return f"of round {event.round}, digest {event.digest[:16]}…, by '{event.attack}', {area}"
        case entries.Reported():
            return f"in '{event.file}', digest {event.digest[:16]}…"
        case entries.Media():
            drive = event.drive or "a drive of which the system tells no name"
            serial = f", serial number {event.serial}" if event.serial else ""
            kind = f", {event.file_system}" if event.file_system else ""
            return f"{event.use} of '{event.about}', {drive}{serial}{kind}, at {event.machine}{receipts.by(event.by)}"
        case entries.Given():
            return f"of the peer's bundle of round {event.round}, '{event.bundle}', in '{event.file}'{receipts.by(event.by)}"
        case entries.Refused():
            about = f" '{event.about}'" if event.about else ""
            return f"{event.command}{about}, {event.error} ({event.exit_code}): {event.message}"


def _approved(officers: tuple[str, ...] | None) -> str:
    """Who had agreed, where somebody had to."""
    return "" if officers is None else f", approved by {' and '.join(f'{each[:16]}…' for each in officers)}"


def _part(event: entries.Exported) -> str:
    """What was put on the disk, where it is not just the bundle."""
    if event.request is not None:
        return f", {event.files} of its files, as the peer asked (request {event.request[:16]}…)"
    over = "" if event.disks is None else f", over {event.disks} disks"
    return over + ("" if event.parity is None else f", with parity for {event.parity} % of its files")


def _left(report: SiteReport, sent: list[BundleReport | Ciphertext]) -> str:
    """What left the site in all: every bundle that was handed over."""
    handed = {e.record.digest for e in report.entries if isinstance(e.record, entries.Exported)}
    gone = [b for b in sent if b.digest in handed]
    given = [e.record for e in report.events if isinstance(e.record, entries.Given)]
    approved = {(e.record.digest, e.record.officers) for e in report.entries if isinstance(e.record, entries.Exported)}
    beside = receipts.beside(given, [each for _, officers in approved for each in officers or ()])
    and_so = "".join(f"; and {each}" for each in beside)
    if not gone:
        return f"what left this site: no bundle yet{and_so}"
    opened = [b for b in gone if isinstance(b, BundleReport)]
    size = files.size(sum(b.size for b in gone))
    if len(opened) < len(gone):
        return (
            f"what left this site: {count(len(gone), 'bundle')} ({size}); what they hold cannot be seen without the age key"
            f"{and_so}"
        )
    losses, recipes = sum(len(b.candidates) for b in opened), sum(b.recipes for b in opened)
    starts = sum(b.manifest.start is not None for b in opened)
    of = f", recipes of {count(recipes, 'blend')}" if recipes else ""
    if any(isinstance(b.manifest, Manifest) and b.manifest.told for b in opened):
        of += ", second moments of its samples' features"
    models, samples = count(losses - recipes, "model"), opened[-1].manifest.samples
    return (
        f"what left this site: {count(len(gone), 'bundle')} ({size}) with the weights of {models}{of}, {losses} loss sums, "
        f"{count(starts, 'global loss', 'global losses')}, and the sample count {samples}; alx audit BUNDLE shows each"
        f"{and_so}"
    )


def _flags(flags: entries.Flags) -> str:
    told = looks(flags)
    return f" ({'; '.join(told)})" if told else ""


def looks(flags: entries.Flags) -> list[str]:
    """What about a selection deserves a look, in a few words each."""
    return [
        word
        for name, bad, word in (
            ("start_sent", False, "LOOK: t=0 was not sent"),
            ("start_loss_true", False, "LOOK: the claimed start's loss is not the one found"),
            ("loss_rose", True, "LOOK: the loss rose"),
            ("stalled", True, "STALL"),
            ("claim_low", True, "LOOK: the sender's claim is too good"),
            ("spent_fell", True, "LOOK: no more of the privacy budget was spent"),
            ("by_claim", True, "LOOK: by own loss alone another would have been chosen"),
            ("own_rose", True, "LOOK: the own loss got worse"),
            ("score_fell", True, "LOOK: the held-out score got worse"),
        )
        if getattr(flags, name) is bad
    ]
