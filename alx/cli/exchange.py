"""The commands of an exchange that need no torch: `alx status` starts at once."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alx import files
from alx.bundle import carried
from alx.bundle import identity as identities
from alx.bundle.keys import Unlock
from alx.bundle.layout import BUNDLE
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.options import by_option, site_option
from alx.cli.screen import json_option
from alx.errors import TrustError, UsageError, count, escape
from alx.report import privacy, receipts, scores, selection
from alx.site import budget, events, handed_over
from alx.site import site as sites
from alx.site.entries import Restored
from alx.site.site import RETURNED, Site
from alx.site.state import SiteState

if TYPE_CHECKING:  # `status` alone needs it
    from alx.steps.under_way import Approvals


@click.command(epilog="Example: alx pair /media/disk/centre.json")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="The words were compared already.")
@site_option
@json_option
def pair(file: Path, yes: bool, site: Site, as_json: bool) -> None:
    """Check that the peer has the same plan and model, show its words, and pin its key."""
    from alx.steps import pairing  # noqa: PLC0415

    data = carried.read_file(file, identities.MAX_IDENTITY_BYTES)
    with site.locked("pair", file.name) as now:
        peer = identities.parse(data)
        pairing.check_peer(now, peer)
        if not as_json or not yes:
            tried = identities.comparable(now.own.file, peer.file)
            same = "plan, model and loss" if tried else "plan and model; their loss could not be compared with ours"
            screen.tell(f"{peer.file.role}, {count(peer.file.samples, 'sample')}, the same {same}", err=as_json)
            screen.tell(f"its words: {peer.words}", err=as_json)
        if not yes and not screen.compared():
            raise TrustError(
                "the words were not the same, so no key was pinned", "ask the peer for their identity file again"
            )
        pairing.pair(now, peer)
    if as_json:
        screen.machine({"peer": peer.file.role, "key": now.peer_key.fingerprint, "words": peer.words})
        return
    screen.tell(f"pinned the key {now.peer_key.fingerprint[:16]}…")
    screen.tell(f"next: {now.position.next_command}")


@click.command(epilog="Example: alx export /media/disk")
@click.argument("targets", type=click.Path(path_type=Path), metavar="DISK...", nargs=-1, required=True)
@click.option(
    "--only", type=click.Path(path_type=Path), metavar="FILE", help="The peer's request: copy just the files that it names."
)
@click.option(
    "--parity",
    "percent",
    type=click.IntRange(1, 100),
    metavar="PERCENT",
    help="Put files beside the bundle from which this share of its files can be rebuilt.",
)
@by_option("Who does it, for this site's media log.")
@passphrases.option
@site_option
@json_option
def export(
    targets: tuple[Path, ...],
    only: Path | None,
    percent: int | None,
    by: str | None,
    unlock: Unlock,
    site: Site,
    as_json: bool,
) -> None:
    """Copy the sealed turn to a disk, read it back from there, and record that it was handed over.

    Several disks named together take one bundle that no single one has room for, each a share of its files by the room that
    it has. For a copy on each of two disks, run it once for each.

    The receipt of the peer's last bundle goes beside it. Which drive it was is written into the event log.

    After the last round the learner hands over the closing, which tells the provider what was chosen last. Only that is
    signed here, so only then a passphrase is asked for.
    """
    from alx.steps import file_system, media, outgoing, spread  # noqa: PLC0415

    if only is not None and percent is not None:
        raise UsageError("--parity is for a whole bundle, and --only for some files of it", "leave out one of them")
    if only is not None and len(targets) > 1:
        raise UsageError("--only brings some files, which go on one disk", "name one disk")
    for target in targets:
        sites.refuse_inside(target)  # of the own outbox, for one, it would say that the bundle was handed over
    about = ", ".join(files.named(each).name for each in targets)
    with site.unlocked_by(unlock).locked("export", about) as now, screen.progress() as tell:
        due = outgoing.due(now)
        if due:  # or it is refused, and nothing goes near a disk
            media.note(now, "export", zip(targets, spread.folders(due, len(targets)), strict=True), by)
        if len(targets) > 1:
            made = spread.export(now, targets, tell, parity_percent=percent)
        else:
            made = [outgoing.export(now, targets[0], tell, only=only, parity_percent=percent)]
    if as_json:
        screen.machine(made[0].json() if len(made) == 1 else {"disks": [each.json() for each in made]})
        return
    for number, done in enumerate(made, 1):
        part = "" if only is None else f"{count(done.files, 'file')}, as the peer asked, "
        what = "the closing" if done.closing else f"round {done.round}"
        on = "" if len(made) == 1 else f", disk {number} of {len(made)}"
        screen.tell(f"{what}{on}: {part}{'was on the disk already' if done.again else 'copied'}, read back and verified")
        screen.tell(f"'{done.path}' ({files.size(done.size)})")
        if done.parity is not None:
            p, which = done.parity, "any" if done.parity.groups == 1 else "here and there"
            told = f"{which} {p.lost} of {count(p.files, 'file')} can be rebuilt if lost; the manifest is there once more"
            screen.tell(f"'{p.path.name}' ({files.size(p.size)}): {told}")
        if done.receipt is not None:
            screen.tell(f"'{done.receipt.name}': the receipt of the peer's last bundle")
    one = len(made) == 1
    screen.tell(*file_system.removal([done.file_system for done in made]))
    folders = " ".join(f"DISK{'' if one else i}/{done.path.name}" for i, done in enumerate(made, 1))
    screen.tell(f"next: carry {'it' if one else 'all of them'}; the peer runs alx import-and-select {folders}")


@click.command(epilog="Example: alx status")
@site_option
@json_option
def status(site: Site, as_json: bool) -> None:
    """Where the exchange stands, and the command to run next."""
    from alx.steps import under_way  # noqa: PLC0415

    site.require_private()
    log = events.read(site.events_path)  # before the ledger, which is never behind it, whatever runs meanwhile
    now = site.look()
    events.missing(log, now.entries)  # this and the next line: what every command would refuse
    now.check_agreement()
    position = now.position
    taken = budget.of(e.record for e in now.entries)
    ended, due = privacy.ended(site.plan, taken, position, site.role) or ("", position.next_command)
    turn, arrival, approvals = under_way.turn(now), under_way.arrival(now), under_way.approvals(now)
    following = _following(now, due, approvals)
    closed = position.closed
    last = closed or (position.selected[-1] if position.selected else None)
    sealed, accepted = (sum(not turn.closing for turn in turns) for turns in (position.sealed, position.accepted))
    best = min(position.selected, key=lambda selected: selected.global_loss, default=None)  # what alx best writes
    times = {event.entry: event.at for event in log if not event.by_reset}
    gone = handed_over.of((e.record, times.get(e.line.digest)) for e in now.entries)
    if as_json:
        screen.machine(
            {
                "site": site.folder,
                "role": site.role,
                "plan": site.plan.name,
                "plan_digest": site.plan_file.digest,
                "round": position.round,
                "rounds": site.plan.rounds,
                "step": position.step,
                "next": following,
                "sealed": sealed,
                "accepted": accepted,
                "model": closed.state if closed else None,
                "global_loss": last.global_loss if last else None,
                "samples": last.samples if last else None,
                "select_on": site.plan.select_on,
                "metrics": last.metrics._asdict() if last and last.metrics else None,
                "handed_over": receipts.json(gone),
                "best": {"round": best.round, "metrics": best.metrics and best.metrics._asdict()} if best else None,
                "privacy": privacy.spent_json(site.plan, taken),
                "under_way": None if turn is None else asdict(turn),
                "arrived": None if arrival is None else asdict(arrival),
                "approvals": None if approvals is None else asdict(approvals),
            }
        )
        return
    screen.tell(f"the {site.role}'s site of plan '{site.plan.name}', round {position.round} of {site.plan.rounds}")
    spent = [*privacy.spent(site.plan, taken), *([ended] if ended else [])]
    screen.tell(f"sealed {sealed}, accepted {accepted}", *receipts.last(gone), *spent)
    if closed:
        screen.tell(*selection.ends(closed, handed_over.end(gone, site.role), site.plan))
    elif last:
        loss = f"global loss {last.global_loss:.6g}{site.plan.summed_over}"
        screen.tell(f"last selection: {last.label} of round {last.round}, {loss}")
    if last is not None and last.metrics is not None:
        screen.tell(f"on samples kept apart: {scores.line(last.metrics.values, last.metrics.majority)}")
    if closed is None and best is not last and best is not None:
        told = f": {scores.line(best.metrics.values, best.metrics.majority)}" if best.metrics is not None else ""
        screen.tell(f"least global loss: {best.label} of round {best.round}{told}")
    if position.step == "export-closing":
        screen.tell("left to do: the closing, which tells the provider what was chosen, so that both end with that")
    if position.step == "import-closing":
        screen.tell("still to come: the learner's closing, which tells what it chose last, so that both end with that")
    if isinstance(now.entries[-1].record, Restored):
        screen.tell("LOOK: restored from a backup, and nothing was done since; was a bundle sealed or imported after it?")
        screen.tell("docs/keys.md says how to bring the site up to date first; a second bundle of a round is a fork")
    screen.tell(*receipts.owed(position, site.role, (event.record for event in log)))
    begun = (turn, arrival, approvals) if due == position.next_command else ()  # else no command goes on with it
    screen.tell(*(each.words for each in begun if each is not None), f"next: {following}")


def _following(now: SiteState, due: str, approvals: "Approvals | None") -> str:
    """The command to run next: what a reset returned comes first, and approvals before what they are asked for."""
    if approvals is not None and approvals.wrong is None and approvals.there < approvals.of:
        due = f"{approvals.command}, by {approvals.of - approvals.there} more; then {due}"
    return _returned(now) or due


def _returned(now: SiteState) -> str:
    """The import of a bundle that a reset took out of the inbox again, or nothing."""
    folder = now.site.folder / RETURNED
    names = sorted(p.name for p in folder.iterdir() if BUNDLE.fullmatch(p.name)) if folder.is_dir() else []
    accepted = {turn.bundle for turn in now.position.accepted}
    left = [name for name in names if name not in accepted]
    return f"alx import-and-select {escape(str(folder / left[-1]), 300)}" if left else ""
