"""The commands of an exchange that make or ask a model; torch is imported inside of them, where it is needed."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from alx import files
from alx.bundle import carried, request
from alx.bundle import identity as identities
from alx.bundle.keys import Unlock
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.options import by_option, new_file, site_option
from alx.cli.screen import json_option
from alx.errors import AlxError, ConfigError, PeerError, count
from alx.report import privacy, scores, selection, summary
from alx.report import receipts as received
from alx.site import budget, entries, events
from alx.site import site as sites
from alx.site.entries import Selected
from alx.site.site import Site
from alx.site.state import SiteState
from alx.steps import media, receipts

if TYPE_CHECKING:
    from alx.turns import Chosen


@click.command(epilog="Example: alx identity /media/disk/clinic.json")
@click.argument("out", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@site_option
@json_option
def identity(out: Path | None, site: Site, as_json: bool) -> None:
    """Write the small file that introduces this site to its peer, and show its words.

    It holds the role, the public key, the plan's text, the model's tensor names and shapes, the digest of its source
    file if it has one, and the number of samples.
    """
    from alx import turns  # noqa: PLC0415 - torch

    out = new_file(
        site, out, f"{site.role}.json", "identity file of this site's", lambda path: _require_own_identity(site, path)
    )
    with site.locked("identity", out.name) as now:
        made = turns.introduce(now)
    files.replace(out, made.data, shared=True)
    if as_json:
        screen.machine({"file": out, "words": made.words, "digest": made.digest, "samples": made.file.samples})
        return
    screen.tell(f"wrote '{out}': {site.role}, {count(made.file.samples, 'sample')}, plan {site.plan_file.digest[:16]}…")
    screen.tell(f"its words: {made.words}")
    screen.tell("next: carry the file to the peer; compare the words with them by telephone; then alx pair PEER-FILE")


def _require_own_identity(site: Site, path: Path) -> None:
    found = identities.parse(carried.read_file(path, identities.MAX_IDENTITY_BYTES))
    if found.key.fingerprint not in {key.fingerprint for key in site.look().keyring.own}:
        raise PeerError("it is another site's")


@click.command(epilog="Example: alx check")
@site_option
@json_option
def check(site: Site, as_json: bool) -> None:
    """Try the task of this site: what it sees in the data, what a turn will take, and what is wrong with it.

    LOOK stands before what deserves a look. Nothing of this leaves the site.
    """
    from alx import turns  # noqa: PLC0415 - torch

    site.require_private()
    done = turns.inspect(site)
    looks = [] if done.summary is None else summary.looks(done.summary, site.least, site.plan.select_on)
    noise = [] if done.noise is None else privacy.planned(site.plan, done.noise)
    looks += [] if done.noise is None else privacy.looks(site.plan, done.noise)
    spent = privacy.spent(site.plan, budget.of(e.record for e in site.look().entries))
    if as_json:
        screen.machine(done.json() | {"looks": looks})
    else:
        data = (
            ["the task is one of your own: it alone knows its data"] if done.summary is None else summary.words(done.summary)
        )
        paired = site.look().pairing is not None
        fit = "the task is fit, and the data are those of pairing" if done.compared else "the task is fit"
        fit = fit if paired else "the task is fit for a first round"
        screen.tell(*data, *done.words(), *noise, *spent, *looks, *([] if done.found else [fit]))
    if done.found:
        raise ConfigError("the task is not fit: " + "; ".join(done.found), "docs/tasks.md says what a task promises")


@click.command("train-local", epilog="Example: alx train-local --log ../turns.jsonl")
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="FILE",
    help="Write each step there, one JSON object a line, after what is there already; tensorboard:DIR writes what "
    "TensorBoard reads. May be given again.",
)
@passphrases.option
@site_option
@json_option
def train_local(logs: tuple[str, ...], unlock: Unlock, site: Site, as_json: bool) -> None:
    """Train one turn from the selected snapshot and seal it in the outbox. Stopped at any point, it goes on.

    A terminal shows steps, losses and the time left. A log holds what was learnt of this site's data: it does not travel.
    """
    from alx import turns  # noqa: PLC0415 - torch
    from alx.turns import log  # noqa: PLC0415 - torch, all of this room

    targets = [log.Target.of(text) for text in dict.fromkeys(logs)]
    for path, board in targets:
        if board:
            sites.refuse_inside(path)
        else:
            new_file(site, path, "", "log of train-local's", log.last_line)
    with site.unlocked_by(unlock).locked("train-local") as now, screen.progress() as tell:
        sealed = turns.train(now, tell, targets)
    if as_json:
        screen.machine(sealed.json())
        return
    screen.tell(
        f"round {sealed.round}: {'was sealed already' if sealed.again or sealed.back else 'sealed'} '{sealed.path.name}', "
        f"{sealed.contents} in {files.size(sealed.size)} (as plain weights: {files.size(sealed.raw_size)})"
    )
    screen.tell(f"digest {sealed.digest}")
    if sealed.back:
        screen.tell("training gave the same again, to the bit, as the bundle that lay in the outbox: that one stays")
    if sealed.resumed is not None:
        screen.tell(f"the turn was interrupted before, and went on from step {sealed.resumed:,} of {sealed.planned:,}")
    if sealed.steps < sealed.planned:
        screen.tell(
            f"the turn ended at step {sealed.steps:,} of {sealed.planned:,}: then the validation loss did not fall any more"
        )
    for fault in sealed.unlogged:
        screen.tell(f"LOOK: the log {fault}; the turn is good all the same")
    if sealed.afresh:
        screen.tell(
            "LOOK: the optimiser started afresh: what was kept of it at this site's turn before is gone or damaged (was the "
            "site restored?); the turn is good all the same"
        )
    screen.tell(*privacy.spent(site.plan, budget.of(e.record for e in now.entries)))
    screen.tell("next: alx export DISK")


@click.command("import-and-select", epilog="Example: alx import-and-select /media/disk/alx-1f3a90c2-r001-learner")
@click.argument("bundles", type=click.Path(path_type=Path), metavar="BUNDLE...", nargs=-1, required=True)
@click.option(
    "--request",
    "ask",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where files are bad, write here which ones the peer has to bring again.",
)
@click.option("--full", is_flag=True, help="Measure every snapshot to the end: slower, and chooses the same.")
@by_option("Who takes the disk: for this site's media log, and for the receipt, which the peer reads.")
@passphrases.option
@site_option
@json_option
def import_and_select(
    bundles: tuple[Path, ...], ask: Path | None, full: bool, by: str | None, unlock: Unlock, site: Site, as_json: bool
) -> None:
    """Verify the peer's bundle, add one's own loss to its snapshots', and choose where to go on.

    Several folders named together are taken as one bundle: its shares on several disks, copies of which one has good what is
    bad in another, its parity. With one port for disks name one after the other: what is good is kept, and what is still to
    come is told.

    A snapshot that cannot win any more is not measured at the other samples. The closing, after the last round, says what
    the learner chose last. The peer's receipt of this site's last bundle is read too, where it lies beside this one.

    Only a request is signed, so only then a passphrase is asked for.
    """
    from alx import turns  # noqa: PLC0415 - torch

    names = [files.named(each).name for each in bundles]
    with site.unlocked_by(unlock).locked("import-and-select", ", ".join(names)) as now, screen.progress() as tell:
        if ask is not None:
            new_file(site, ask, "ask.json", "request of this site's", lambda path: _require_own_request(now, path))
        media.note(now, "import", zip(bundles, names, strict=True), by)
        chosen = turns.import_and_select(now, bundles[0], tell, also=bundles[1:], ask=ask, full=full)
        came, refused = receipts.beside(now, bundles)
    if as_json:
        beside = {"receipt": came and entries.plain(came.record), "receipt_refused": refused and refused.message}
        screen.machine(chosen.json() | beside)
        return
    screen.tell(*_arrived(chosen, came, refused))
    found = chosen.selected
    if isinstance(found, Selected):
        screen.tell(*selection.table(found), *selection.words(found, site.plan))
    else:
        screen.tell(*selection.closed(found, site.plan))
        screen.tell(*received.owed(now.position, site.role, (e.record for e in events.read(site.events_path))))
    worth = found.metrics
    if worth is not None and len(worth.values) > 1:
        earlier = now.position.selected[:-1] if isinstance(found, Selected) else now.position.selected
        before = next((s.metrics for s in reversed(earlier) if s.metrics), None)
        then = before and before.values
        told = scores.table(worth.values, worth.majority, worth.groups, then, confusion=worth.confusion)
        screen.tell("", *told, "", *scores.looks(worth.values, worth.majority, then, worth.confusion))
    screen.tell(f"next: {now.position.next_command}")


def _arrived(chosen: "Chosen", came: receipts.Taken | None, refused: AlxError | None) -> list[str]:
    """What came in, before what was chosen out of it."""
    told = [f"'{chosen.bundle.name}': signature valid, by the pinned key {chosen.signer[:16]}…"]
    if chosen.rebuilt:
        told.append(f"{chosen.rebuilt} {'file was' if chosen.rebuilt == 1 else 'files were'} rebuilt from parity")
    if chosen.recipes and isinstance(chosen.selected, Selected):
        weighed, made = count(len(chosen.selected.labels) - chosen.recipes, "snapshot"), count(chosen.recipes, "blend")
        told.append(f"{weighed} came with weights; {made} came as recipes and were made here, to the bit")
    new = came is not None and not came.again
    if came is not None and new:
        told.append(f"the receipt beside it: {received.taken(came.record)}")
    if refused is not None:
        told.append(f"LOOK: the receipt beside it was not taken: {refused.message}; the bundle is good all the same")
    if chosen.mended:
        told.append("already imported; it was damaged in this site's inbox, and this copy took its place")
    elif chosen.again:
        told.append("already imported" if new else "already imported; nothing changed")
    return told


def _require_own_request(now: SiteState, path: Path) -> None:
    request.verify(carried.read_file(path, request.MAX_REQUEST_BYTES), now.public_key)
