"""The commands of an exchange that need no torch: `alx status` starts at once."""

from pathlib import Path
from typing import get_args

import click

from alx import files
from alx.bundle import carried
from alx.bundle import identity as identities
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.options import site_option
from alx.cli.screen import json_option
from alx.errors import TrustError, UsageError, count, escape
from alx.records import Role
from alx.report import scores
from alx.site import events, site_file
from alx.site import site as sites
from alx.site.entries import Restored
from alx.site.site import RETURNED, Site
from alx.site.site_file import Data, DataKind, SiteFile

KINDS = get_args(DataKind)


def _data(value: str | None, held_out: str | None, validation: str | None, task: str) -> Data | None:
    if value is None:
        for option, given in (("--held-out", held_out), ("--validation", validation)):
            if given is not None:
                raise UsageError(f"{option} without --data", "a task of your own brings all its data itself")
        return None
    if task != "built-in":
        raise UsageError("--data is for the built-in task", "a task of your own brings its data itself: docs/tasks.md")
    return site_file.named(value, held_out, validation)


@click.command(epilog="Example: alx init clinic --role learner --plan plan.toml --data npz:clinic.npz")
@click.argument("folder", type=click.Path(path_type=Path), metavar="SITE")
@click.option("--role", type=click.Choice(get_args(Role)), required=True, help="The learner goes first.")
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), required=True, help="The agreed plan.toml.")
@click.option("--task", default="built-in", show_default=True, metavar="built-in|FILE", help="A file with make_task.")
@click.option("--data", metavar="KIND:PATH", help=f"For the built-in task: {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
@click.option("--held-out", metavar="PATH", help="Data kept apart for a score, where the kind has none of its own.")
@click.option(
    "--validation", metavar="PATH", help="Data of the same kind to select on, where the plan selects on validation samples."
)
@click.option("--init", "init_path", type=click.Path(path_type=Path), help="A .safetensors to start from (learner).")
@click.option("--passphrase", "ask", is_flag=True, help="Ask for a passphrase that encrypts the private key.")
@click.option(
    "--passphrase-fd",
    "descriptor",
    type=click.IntRange(min=0),
    metavar="N",
    help="The same, read as one line from this file descriptor.",
)
@json_option
def init(
    folder: Path,
    role: Role,
    plan_path: Path,
    task: str,
    data: str | None,
    held_out: str | None,
    validation: str | None,
    init_path: Path | None,
    ask: bool,
    descriptor: int | None,
    as_json: bool,
) -> None:
    """Make a site's folder: key, plan, ledger."""
    from alx.steps import new  # noqa: PLC0415 - this and its like: `alx status` does without

    config = SiteFile(role=role, task=task, data=_data(data, held_out, validation, task))
    passphrase = passphrases.choose(descriptor) if ask or descriptor is not None else None
    site = new.create(folder, config, plan_path, init=init_path, passphrase=passphrase)
    if as_json:
        screen.machine(
            {"site": site.folder, "role": role, "plan": site.plan_file.digest, "key": site.look().public_key.fingerprint}
        )
        return
    screen.tell(f"made the {role}'s site '{folder}' under plan '{site.plan.name}' ({site.plan_file.digest[:16]}…)")
    screen.tell("next: alx identity")


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
@click.argument("target", type=click.Path(path_type=Path), metavar="DISK")
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
@site_option
@json_option
def export(target: Path, only: Path | None, percent: int | None, site: Site, as_json: bool) -> None:
    """Copy the sealed turn to a disk, read it back from there, and record that it was handed over."""
    from alx.steps import outgoing  # noqa: PLC0415

    if only is not None and percent is not None:
        raise UsageError("--parity is for a whole bundle, and --only for some files of it", "leave out one of them")
    sites.refuse_inside(target)  # of the own outbox, for one, it would say that the bundle was handed over
    with site.locked("export", str(target)) as now, screen.progress() as tell:
        done = outgoing.export(now, target, tell, only=only, parity_percent=percent)
    if as_json:
        screen.machine(done.json())
        return
    part = "" if only is None else f"{count(done.files, 'file')}, as the peer asked, "
    screen.tell(f"round {done.round}: {part}{'was on the disk already' if done.again else 'copied'}, read back and verified")
    screen.tell(f"'{done.path}' ({files.size(done.size)})")
    if done.parity is not None:
        p = done.parity
        which = "any" if p.groups == 1 else "here and there"
        screen.tell(f"'{p.path.name}' ({files.size(p.size)}): {which} {p.lost} of {p.files} files can be rebuilt if lost")
    screen.tell("safe to remove the disk")
    screen.tell(f"next: carry it; the peer runs alx import-and-select DISK/{done.path.name}")


@click.command(epilog="Example: alx status")
@site_option
@json_option
def status(site: Site, as_json: bool) -> None:
    """Where the exchange stands, and the command to run next."""
    site.require_private()
    now = site.look()
    events.missing(events.read(site.events_path), now.entries)  # this and the next line: what every command would refuse
    now.check_agreement()
    position = now.position
    following = _returned(site) or position.next_command
    last = position.selected[-1] if position.selected else None
    best = min(position.selected, key=lambda selected: selected.global_loss, default=None)  # what alx best writes
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
                "sealed": len(position.sealed),
                "accepted": len(position.accepted),
                "global_loss": last.global_loss if last else None,
                "samples": last.samples if last else None,
                "select_on": site.plan.select_on,
                "metrics": last.metrics._asdict() if last and last.metrics else None,
                "best": {"round": best.round, "metrics": best.metrics and best.metrics._asdict()} if best else None,
            }
        )
        return
    screen.tell(f"the {site.role}'s site of plan '{site.plan.name}', round {position.round} of {site.plan.rounds}")
    screen.tell(f"sealed {len(position.sealed)}, accepted {len(position.accepted)}")
    if last:
        loss = f"global loss {last.global_loss:.6g}{site.plan.summed_over}"
        screen.tell(f"last selection: {last.label} of round {last.round}, {loss}")
        if last.metrics is not None:
            screen.tell(f"on samples kept apart: {scores.line(last.metrics.values, last.metrics.majority)}")
        if best is not last and best is not None:
            told = f": {scores.line(best.metrics.values, best.metrics.majority)}" if best.metrics is not None else ""
            screen.tell(f"least global loss: {best.label} of round {best.round}{told}")
    if isinstance(now.entries[-1].record, Restored):
        screen.tell("LOOK: restored from a backup, and nothing was done since; was a bundle sealed or imported after it?")
        screen.tell("docs/keys.md says how to bring the site up to date first; a second bundle of a round is a fork")
    screen.tell(f"next: {following}")


def _returned(site: Site) -> str:
    """The import of a bundle that a reset took out of the inbox again, or nothing."""
    folder = site.folder / RETURNED
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    left = [name for name in names if not (site.inbox / name).exists()]
    return f"alx import-and-select {escape(str(folder / left[-1]), 300)}" if left else ""
