"""A lost ledger is rebuilt from what is signed: the bundles of outbox and inbox, the rotations, and both identities.

Knows bundles, keys and entries; knows no tensor's meaning. Nothing is taken on trust but the peer's identity file, which
people compare again. What was never signed is not made up: one's own losses of rounds gone by are unknown afterwards, and
the bundle that was imported last, whose selection no bundle of this site tells, has to be imported again.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alx import audit, files
from alx.bundle import approval, identity, keys, rotation
from alx.bundle.closing import Closing
from alx.bundle.identity import Identity
from alx.bundle.keys import PublicKey
from alx.bundle.layout import BUNDLE, SHARE
from alx.bundle.manifest import Manifest
from alx.bundle.rotation import Rotation
from alx.bundle.share import SHARE_NAME
from alx.errors import AlxError, ConfigError, CorruptError, LedgerError, TrustError, TurnError, UsageError, escape
from alx.site import budget, events, keyring, ledger
from alx.site.entries import (
    Accepted,
    Closed,
    Created,
    Exported,
    Flags,
    Paired,
    PeerRotated,
    Record,
    Reset,
    Rotated,
    Sealed,
    Selected,
    Spent,
)
from alx.site.ledger import Entry
from alx.site.site import RETURNED, Site
from alx.site.state import SiteState
from alx.steps import pairing
from alx.verified import BundleReport


@dataclass(frozen=True, slots=True)
class Findings:
    """What can be told without the ledger, all of it verified.

    Attributes:
        lost: what is to be rebuilt: the ledger and with it the log, or the security log alone.
        why: what is wrong with it.
        own: the first key of this site, and the rotations since.
        peer: the peer as it introduced itself, and its rotations; None where there is none.
        bundles: in the order of the exchange, without `again`.
        again: the bundle that was imported last and not answered yet.
    """

    lost: Literal["ledger", "event log"]
    why: str
    own: tuple[PublicKey, list[Rotation]]
    peer: tuple[Identity, list[Rotation]] | None
    bundles: list[BundleReport]
    again: BundleReport | None

    @property
    def peer_words(self) -> dict[str, str]:
        """The words that people compare again: of the peer's identity file, and of its present key if that is another."""
        if self.peer is None:
            return {}
        introduced, rotations = self.peer
        return {"its identity": introduced.words} | ({"its present key": rotations[-1].words} if rotations else {})


def fault(site: Site) -> tuple[Literal["ledger", "event log"], str] | None:
    """What is lost, and what is wrong with it; None where both chains are good."""
    try:
        entries = ledger.read(site.ledger_path)
    except LedgerError as error:
        return "ledger", error.message
    try:
        log = events.read(site.events_path)
    except LedgerError as error:
        return "event log", error.message
    try:
        events.missing(log, entries)
    except LedgerError as error:
        return "ledger", error.message
    return None


def finish(site: Site) -> Reset | None:
    """The reset after which nothing else was done; None where there is none, or something is lost.

    What the reset did not come to, the security log, is done.
    """
    if fault(site) is not None:
        return None
    entries = ledger.read(site.ledger_path)
    made = _last_reset(entries)
    if made is not None:
        events.catch_up(site.events_path, entries)
    return made


def _last_reset(entries: Sequence[Entry]) -> Reset | None:
    made = next((e.record for e in reversed(entries) if isinstance(e.record, Reset)), None)
    return made if made is not None and made.rebuilt == len(entries) else None


def find(site: Site) -> Findings:
    """Verify everything that a ledger can be rebuilt from; nothing is written.

    Args:
        site: this site, locked by the caller.

    Raises:
        TurnError: ledger and log are good.
        LedgerError: the bundles' chain has a gap, or the security log knows of bundles, keys or a peer that are not there.
        CorruptError, TrustError: a bundle is damaged, or is not of this exchange.
        ConfigError, PeerError, ModelError: the identity files do not belong to this site.
    """
    lost = fault(site)
    if lost is None:
        raise TurnError("the ledger is good: there is nothing to reset", "alx status says what to do next")
    own = _own_keys(site)
    path = site.folder / keyring.PEER_NAME
    peer = None
    if path.is_file():
        introduced = identity.parse(files.read(path, identity.MAX_IDENTITY_BYTES))
        pairing.check_peer(SiteState(site, []), introduced)
        peer = introduced, _rotations(site.folder, introduced.key)
    reports = _bundles(site, own, peer)
    audit.check_chain(reports)
    _check_log(site, reports, own[1], peer)
    reports.sort(key=lambda r: r.manifest.sequence)
    again = reports.pop() if reports and reports[-1].manifest.sender.role != site.role else None
    return Findings(*lost, own, peer, reports, again)


def _check_log(
    site: Site, reports: list[BundleReport], own: list[Rotation], peer: tuple[Identity, list[Rotation]] | None
) -> None:
    """What the security log tells has to be there: a history without its newest part could be played a second time."""
    try:
        log = events.read(site.events_path)
    except LedgerError:
        return
    bundles = {r.digest for r in reports}
    rotations: dict[type, set[str]] = {
        Rotated: {r.digest for r in own},
        PeerRotated: {r.digest for r in peer[1]} if peer else set(),
    }
    hint = "put it back, from a backup or from a disk that carried it; without it make new sites on both sides"
    for e in log:
        match e.record:
            case Sealed(bundle=bundle, digest=digest) | Accepted(bundle=bundle, digest=digest) if digest not in bundles:
                raise LedgerError(
                    f"the event log says that '{escape(bundle)}' was {e.line.kind}, digest {digest[:16]}…; it is not there",
                    hint,
                )
            case Rotated(new=new, file=file) | PeerRotated(new=new, file=file) if file not in rotations[type(e.record)]:
                whose = "this site's" if isinstance(e.record, Rotated) else "the peer's"
                raise LedgerError(
                    f"the event log says that {whose} key was replaced by {new[:16]}…; rotations/ does not", hint
                )
    paired = next((e.record.identity for e in reversed(log) if isinstance(e.record, Paired)), None)
    if paired is not None and (peer is None or peer[0].digest != paired):
        raise LedgerError(f"the event log names another peer than {keyring.PEER_NAME}", hint)


def _own_keys(site: Site) -> tuple[PublicKey, list[Rotation]]:
    current = keys.load_public(site.folder / keyring.PUBLIC_NAME)
    if not (site.folder / identity.IDENTITY_NAME).is_file():
        return current, []
    own = SiteState(site, []).own
    if own.plan_file.digest != site.plan_file.digest:
        raise ConfigError("identity.json was made under another plan than plan.toml", "put the agreed files back")
    rotations = _rotations(site.folder, own.key)
    if rotations and current != rotations[-1].new and not keyring.next_path(site.folder, rotations[-1].new).is_file():
        rotations.pop()  # killed before it counted
    if current not in (own.key, *(r.new for r in rotations)):
        raise TrustError(f"'{keyring.PUBLIC_NAME}' is no key of this site's identity", "restore the site from its backup")
    return own.key, rotations


def _rotations(folder: Path, first: PublicKey) -> list[Rotation]:
    """The rotations from a first key on, each signed by the key before it."""
    out: list[Rotation] = []
    seen, current = {first.fingerprint}, first
    while (path := keyring.rotation_path(folder, current)).is_file():
        got = rotation.verify(files.read(path, rotation.MAX_ROTATION_BYTES), current)
        if got.new.fingerprint in seen:
            raise CorruptError(f"'{path}' goes back to a key that was replaced")
        seen.add(got.new.fingerprint)
        out.append(got)
        current = got.new
    return out


def _bundles(
    site: Site, own: tuple[PublicKey, list[Rotation]], peer: tuple[Identity, list[Rotation]] | None
) -> list[BundleReport]:
    """Every bundle of the site, verified whole: from whom, to whom, under which plan."""
    ours = [own[0], *(r.new for r in own[1])]
    theirs = [] if peer is None else [peer[0].key, *(r.new for r in peer[1])]
    out = []
    for box, senders, receivers in (
        (site.outbox, ours, theirs),
        (site.inbox, theirs, ours),
        (site.folder / RETURNED, theirs, ours),
    ):
        for path in _named(box):
            if box.name == RETURNED and (site.inbox / path.name).exists():  # imported again already
                continue
            if peer is None:
                raise CorruptError(f"there is a bundle '{path}', and no {keyring.PEER_NAME}", "put it back from a backup")
            out.append(_bundle(site, path, senders, receivers))
    return out


def _named(box: Path) -> list[Path]:
    """The bundles in a box, by their names; what else lies there is not passed over, as it may be one that was put back.

    Raises:
        UsageError: names it.
    """
    with files.storage(box):
        there = sorted(p for p in box.iterdir() if not p.name.startswith(".")) if box.is_dir() else []
    for path in there:
        if not BUNDLE.fullmatch(path.name.removesuffix(approval.SUFFIX)):
            hint = "give it the name that was signed, or move it out of the site's folder"
            if SHARE.fullmatch(path.name):
                whole = path.name.rpartition(".")[0]
                hint = f"copy the files of all its shares into one folder '{whole}', without {SHARE_NAME}"
            raise UsageError(f"'{escape(str(path), 300)}' is no bundle by its name", hint)
    return [p for p in there if BUNDLE.fullmatch(p.name)]


def _bundle(site: Site, path: Path, senders: list[PublicKey], receivers: list[PublicKey]) -> BundleReport:
    try:
        report = audit.bundle(path, senders, site.secret)
    except AlxError as error:
        error.within(f"'{path}'", "put a good copy there, from a backup or from a disk that carried it")
        raise
    m = report.manifest
    if (path.name, m.plan) != (m.name(), site.plan_file.digest) or m.receiver.key not in {k.fingerprint for k in receivers}:
        raise TrustError(f"'{path}' is not a bundle of this exchange", "move it out of the site's folder")
    return report


def reset(site: Site, findings: Findings, reason: str) -> Reset:
    """Write the new ledger in the place of the lost one. Killed at any point, the same call goes on.

    Args:
        site: this site, locked by the caller.
        findings: from `find`; the caller has shown the peer's words to a person who compared them.
        reason: a person's own, for the ledger.

    Returns:
        The ledger's record of it.

    Raises:
        UsageError: no reason.
        SpaceError, StorageError: see `files.storage`.
    """
    if not reason.strip():
        raise UsageError("the reason is empty", "say what happened: it is recorded")
    again = findings.again
    made = Reset(
        reason=reason,
        why=findings.why,
        bundles=len(findings.bundles),
        import_again=None if again is None else again.path.name,
        rebuilt=0,
    )
    if findings.lost == "event log":
        entries = ledger.read(site.ledger_path)
        last = entries[-1].record
        if isinstance(last, Reset) and last.bundles is None:  # of this call, killed before it made the log
            made = last
        else:
            made = made._replace(bundles=None, import_again=None, rebuilt=len(entries) + 1)
            ledger.append(site.ledger_path, made)
    else:
        records = _records(site, findings)
        files.remove_tree(site.folder / budget.NOISE_NAME)  # so that no noise is drawn twice, for sums that may differ
        made = made._replace(rebuilt=len(records) + 2)
        created = Created(role=site.role, key=findings.own[0].fingerprint, plan=site.plan_file.digest)
        with _in_place_of(site.ledger_path) as fresh:
            ledger.create(fresh, created)
            ledger.append(fresh, made, *records)
            if again is not None and again.path.parent != site.folder / RETURNED:
                _give_back(site, again.path)
    _log(site)
    return made


def _log(site: Site) -> None:
    """Carry the security log on, or begin a new one where it is lost too."""
    entries = ledger.read(site.ledger_path)
    try:
        events.catch_up(site.events_path, entries)
    except LedgerError:
        with _in_place_of(site.events_path) as fresh:
            events.create(fresh, entries)


def _give_back(site: Site, path: Path) -> None:
    returned = site.folder / RETURNED
    files.make_folder(returned)
    # the bundle last: killed in between, the same call finds it where it was
    for each in (approval.folder(path, path.name), path):
        if each.exists():
            files.remove_tree(returned / each.name)
            with files.storage(each):
                each.rename(returned / each.name)
    files.sync_folder(returned)
    files.sync_folder(path.parent)


@contextlib.contextmanager
def _in_place_of(path: Path) -> Iterator[Path]:
    """Make a new chain; once it is whole, what is left of the lost one is set aside, and it gets that one's name.

    Args:
        path: the lost chain's.

    Yields:
        Where to make the new one.
    """
    fresh = path.with_name(f"{path.stem}.new.sqlite")
    for stale in (fresh, fresh.with_name(f"{fresh.name}-journal")):  # of a reset that was killed
        files.remove_tree(stale)
    yield fresh
    _set_aside(path)
    with files.storage(fresh):
        fresh.rename(path)
    files.sync_folder(path.parent)


def _set_aside(path: Path) -> None:
    """Keep what is left of a lost chain, for whoever wants to know what happened; its journal must not meet the new one."""
    journal = path.with_name(f"{path.name}-journal")
    with files.storage(path):
        names = (f"{path.stem}.lost{'' if n == 1 else f'-{n}'}.sqlite" for n in itertools.count(1))
        places = ((path.with_name(name), path.with_name(f"{name}-journal")) for name in names)
        # beside those of earlier resets; a journal that waits there alone is of this one, which was killed in between
        aside, beside = next((a, b) for a, b in places if not a.exists() and not (b.exists() and journal.exists()))
        if not path.exists():
            journal.unlink(missing_ok=True)  # by itself it tells nothing
        elif journal.exists():
            journal.replace(beside)
        if path.exists():
            path.replace(aside)
    files.sync_folder(path.parent)


def _records(site: Site, findings: Findings) -> list[Record]:
    """The records after `created` and `reset`, in an order in which they can have come."""
    if findings.peer is None:
        return []
    introduced, theirs = findings.peer
    ours = findings.own[1]
    out: list[Record] = [Paired.of(introduced, SiteState(site, []).own)]
    left = {Rotated: list(ours), PeerRotated: list(theirs)}
    current = {Rotated: findings.own[0], PeerRotated: introduced.key}

    def rotate_to(kind: type[Rotated | PeerRotated], report: BundleReport) -> None:
        while current[kind] != report.signer:
            if not left[kind]:
                raise LedgerError(f"'{report.path.name}' is signed with a key that was replaced before it")
            out.append(kind.of(rotation := left[kind].pop(0)))
            current[kind] = rotation.new

    reports = findings.bundles
    out += _spent(site, reports)
    answered = {r.manifest.answers for r in (*reports, *([findings.again] if findings.again else []))}
    for i, report in enumerate(reports):
        m = report.manifest
        if m.sender.role == site.role:
            rotate_to(Rotated, report)
            out.append(Sealed.of(m, report.digest))
            if isinstance(m, Closing):  # a learner's; a provider imports it again
                out.append(Closed.of(m, reports[i - 1].candidates[m.start.candidate].label))
            if report.digest in answered:  # the peer had it, so it was handed over
                out.append(Exported(round=m.round, bundle=report.path.name, digest=report.digest))
        else:
            rotate_to(PeerRotated, report)
            out += [Accepted.of(m, report.digest), _selection(report, reports[i + 1], reports[i - 1] if i else None)]
    return [*out, *(kind.of(r) for kind, rotations in left.items() for r in rotations)]


def _spent(site: Site, reports: Sequence[BundleReport]) -> list[Record]:
    """Of the privacy budget what is gone, by this site's last bundle or by its event log, whichever knows of more.

    The reset itself takes a turn's share as well: one may have been begun that neither knows of.
    """
    own = [r.manifest for r in reports if isinstance(r.manifest, Manifest) and r.manifest.sender.role == site.role]
    said = own[-1].spending if own else None
    taken, one = _logged(site)
    if said is None:
        return [] if one is None else [one._replace(turn=None, epsilon=None)] * taken
    how = said.noise, said.rate, said.steps, said.loss_noise
    so_far = said.epsilon if taken <= said.turns else None
    return [Spent(own[-1].round, None, *how, epsilon=so_far, delta=said.delta)] * max(taken, said.turns)


def _logged(site: Site) -> tuple[int, Spent | None]:
    """Turns of the privacy budget that are gone, and one of them, as the event log has it: 0 where it is lost too."""
    log, since, last = 0, 0, None  # all that was done; and what the last reset found, with all that was done after it
    with contextlib.suppress(LedgerError):
        for event in events.read(site.events_path):
            one = budget.of([event.record])
            log, last = log + (0 if event.by_reset else one.taken), one.last or last
            since = one.lost if isinstance(event.record, Reset) and one.lost else since + one.taken
    return max(log, since), last


def _selection(report: BundleReport, answer: BundleReport, before: BundleReport | None) -> Selected:
    """What this site selected out of a bundle, as its own signed answer tells; what it does not tell is unknown: None."""
    m, start = report.manifest, answer.manifest.start
    if isinstance(m, Closing) or start is None or start.candidate >= len(m.candidates):
        raise LedgerError(f"'{answer.path.name}' does not begin at a candidate of '{report.path.name}'")
    sent = None
    if m.start is not None and before is not None:
        offered = before.candidates
        sent = m.start.candidate < len(offered) and offered[m.start.candidate].state == m.candidates[0].state
    made = Selected.of(m, report.digest, start.candidate, samples=start.samples, global_loss=start.global_loss)
    return made._replace(flags=Flags(start_sent=sent))
