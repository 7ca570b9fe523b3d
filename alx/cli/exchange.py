"""The commands of an exchange. What needs torch is imported inside the command that needs it: `status` starts at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from alx import files
from alx.bundle import carried, request
from alx.bundle import identity as identities
from alx.bundle.keys import Unlock
from alx.cli import passphrase as passphrases
from alx.cli import screen, selection
from alx.cli.screen import json_option
from alx.errors import AlxError, ConfigError, PeerError, TrustError, UsageError, count, escape
from alx.records import Role
from alx.site import events, site_file
from alx.site import site as sites
from alx.site.site import RETURNED, Site
from alx.site.site_file import Data, SiteFile
from alx.steps import new, pairing


def the_site(context: click.Context, parameter: click.Parameter, value: Path | None) -> Site:
    """The site named by --site or ALX_SITE, or the one around the current folder."""
    del context, parameter
    return sites.load(value) if value is not None else sites.find(Path.cwd())


def site_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--site."""
    return click.option(
        "--site", "site", type=click.Path(path_type=Path), envvar="ALX_SITE", callback=the_site, metavar="SITE",
        help="The site's folder; default: the one around the current folder.",
    )(command)  # fmt: skip


def _data(value: str | None, held_out: str | None, task: str) -> Data | None:
    if value is None:
        if held_out is not None:
            raise UsageError("--held-out without --data", "a task of your own brings its held-out data itself")
        return None
    if task != "built-in":
        raise UsageError("--data is for the built-in task", "a task of your own brings its data itself: docs/tasks.md")
    return site_file.named(value, held_out)


@click.command(epilog="Example: alx init clinic --role learner --plan plan.toml --data npz:clinic.npz")
@click.argument("folder", type=click.Path(path_type=Path), metavar="SITE")
@click.option("--role", type=click.Choice(get_args(Role)), required=True, help="The learner goes first.")
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), required=True, help="The agreed plan.toml.")
@click.option("--task", default="built-in", show_default=True, metavar="built-in|FILE", help="A file with make_task.")
@click.option("--data", metavar="KIND:PATH", help="For the built-in task: npz, images, csv, cifar10, svhn or mnist.")
@click.option("--held-out", metavar="PATH", help="Data kept apart for a score, where the kind has none of its own.")
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
    folder: Path, role: Role, plan_path: Path, task: str, data: str | None, held_out: str | None,
    init_path: Path | None, ask: bool, descriptor: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a site's folder: key, plan, ledger."""
    config = SiteFile(role=role, task=task, data=_data(data, held_out, task))
    passphrase = passphrases.choose(descriptor) if ask or descriptor is not None else None
    site = new.create(folder, config, plan_path, init=init_path, passphrase=passphrase)
    if as_json:
        screen.machine(
            {"site": site.folder, "role": role, "plan": site.plan_file.digest, "key": site.public_key.fingerprint}
        )
        return
    screen.tell(f"made the {role}'s site '{folder}' under plan '{site.plan.name}' ({site.plan_file.digest[:16]}…)")
    screen.tell("next: alx identity")


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
    with site.locked("identity", out.name):
        made = turns.introduce(site)
    files.replace(out, made.data, shared=True)
    if as_json:
        screen.machine({"file": out, "words": made.words, "digest": made.digest, "samples": made.file.samples})
        return
    screen.tell(f"wrote '{out}': {site.role}, {count(made.file.samples, 'sample')}, plan {site.plan_file.digest[:16]}…")
    screen.tell(f"its words: {made.words}")
    screen.tell("next: carry the file to the peer; compare the words with them by telephone; then alx pair PEER-FILE")


@click.command(epilog="Example: alx pair /media/disk/centre.json")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="The words were compared already.")
@site_option
@json_option
def pair(file: Path, yes: bool, site: Site, as_json: bool) -> None:
    """Check that the peer has the same plan and model, show its words, and pin its key."""
    data = carried.read_file(file, identities.MAX_IDENTITY_BYTES)
    with site.locked("pair", file.name):
        peer = identities.parse(data)
        pairing.check_peer(site, peer)
        if not as_json or not yes:
            tried = identities.comparable(site.own_identity().file, peer.file)
            same = "plan, model and loss" if tried else "plan and model; their loss could not be compared with ours"
            screen.tell(f"{peer.file.role}, {count(peer.file.samples, 'sample')}, the same {same}", err=as_json)
            screen.tell(f"its words: {peer.words}", err=as_json)
        if not yes and not screen.compared():
            raise TrustError(
                "the words were not the same, so no key was pinned", "ask the peer for their identity file again"
            )
        pairing.pair(site, data)
    if as_json:
        screen.machine({"peer": peer.file.role, "key": site.peer_key.fingerprint, "words": peer.words})
        return
    screen.tell(f"pinned the key {site.peer_key.fingerprint[:16]}…")
    screen.tell(f"next: {site.position().next_command}")


@click.command(epilog="Example: alx check")
@site_option
@json_option
def check(site: Site, as_json: bool) -> None:
    """Try the task of this site and say in words what is wrong with it."""
    from alx.tasks import check as checks  # noqa: PLC0415 - torch
    from alx.tasks import load  # noqa: PLC0415
    from alx.turns import initial  # noqa: PLC0415

    site.require_private()
    task = load.task(site.folder, site.config, site.plan)
    found = checks.check_task(task, site.plan.seed)
    if not found:  # a model that is not fit has no weights that others could be compared with
        initial(site, task)
    if as_json:
        screen.machine({"fit": not found, "found": found})
    elif not found:
        screen.tell("the task is fit for a first round")
    if found:
        raise ConfigError(
            "the task is not fit for a first round: " + "; ".join(found), "docs/tasks.md says what a task promises"
        )


@click.command("train-local", epilog="Example: alx train-local")
@passphrases.option
@site_option
@json_option
def train_local(unlock: Unlock, site: Site, as_json: bool) -> None:
    """Train one turn from the selected snapshot and seal it in the outbox. Stopped at any point, it goes on."""
    from alx import turns  # noqa: PLC0415 - torch

    with site.locked("train-local"), screen.progress() as tell:
        sealed = turns.train(site.unlocked_by(unlock), tell)
    if as_json:
        screen.machine(
            {"bundle": sealed.path, "digest": sealed.digest, "round": sealed.round, "bytes": sealed.size,
             "raw_bytes": sealed.raw_size, "snapshots": sealed.snapshots,
                "blends": sealed.blends, "again": sealed.again}
        )  # fmt: skip
        return
    screen.tell(
        f"round {sealed.round}: {'was sealed already' if sealed.again else 'sealed'} '{sealed.path.name}', "
        f"{sealed.contents} in {files.size(sealed.size)} ({sealed.size / sealed.raw_size:.2f} of raw)"
    )
    screen.tell(f"digest {sealed.digest}")
    screen.tell("next: alx export DISK")


@click.command(epilog="Example: alx export /media/disk")
@click.argument("target", type=click.Path(path_type=Path), metavar="DISK")
@click.option(
    "--only",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The peer's request: copy just the files that it names.",
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
    from alx.steps import outgoing  # noqa: PLC0415 - numpy

    if only is not None and percent is not None:
        raise UsageError("--parity is for a whole bundle, and --only for some files of it", "leave one of them away")
    sites.refuse_inside(target)  # of the own outbox, for one, it would say that the bundle was handed over
    with site.locked("export", str(target)), screen.progress() as tell:
        done = outgoing.export(site, target, lambda what, i, n: tell(what, i, n, None), only=only, parity_percent=percent)
    if as_json:
        screen.machine(
            {"bundle": done.path, "digest": done.digest, "round": done.round, "files": done.files, "bytes": done.size,
             "again": done.again, "parity": done.parity.path if done.parity is not None else None}
        )  # fmt: skip
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


@click.command("import-and-select", epilog="Example: alx import-and-select /media/disk/alx-1f3a90c2-r001-learner")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--also",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="COPY",
    help="Another copy of the bundle, for files that are bad in the first; may be given again.",
)
@click.option(
    "--request",
    "ask",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where files are bad, write here which ones the peer has to bring again.",
)
@click.option("--full", is_flag=True, help="Measure every snapshot to the end: slower, and chooses the same.")
@passphrases.option
@site_option
@json_option
def import_and_select(
    bundle: Path, also: tuple[Path, ...], ask: Path | None, full: bool, unlock: Unlock, site: Site, as_json: bool
) -> None:
    """Verify the peer's bundle, add one's own loss to its snapshots', and choose where to go on.

    A snapshot that cannot win any more is not measured at the other samples.

    Only a request is signed, so only then a passphrase is asked for.
    """
    from alx import turns  # noqa: PLC0415 - torch

    with site.locked("import-and-select", bundle.name), screen.progress() as tell:
        if ask is not None:
            new_file(site, ask, "ask.json", "request of this site's", lambda path: _require_own_request(site, path))
        chosen = turns.import_and_select(site.unlocked_by(unlock), bundle, tell, also=also, ask=ask, full=full)
    if as_json:
        screen.machine({"bundle": chosen.bundle, "signer": chosen.signer, "again": chosen.again,
                        "rebuilt": chosen.rebuilt, "selection": chosen.body})  # fmt: skip
        return
    screen.tell(f"'{chosen.bundle.name}': signature valid, by the pinned key {chosen.signer[:16]}…")
    if chosen.rebuilt:
        screen.tell(f"{chosen.rebuilt} {'file was' if chosen.rebuilt == 1 else 'files were'} rebuilt from parity")
    if chosen.again:
        screen.tell("already imported; nothing changed")
    screen.tell(*selection.table(chosen.body), *selection.words(chosen.body, site.plan))
    screen.tell(f"next: {site.position().next_command}")


def new_file(site: Site, named: Path | None, name: str, kind: str, require: Callable[[Path], object]) -> Path:
    """A file that is about to be written for people, refused before any work is done for it.

    It may replace one of its own kind, and nothing else. It does not lie in a site, but for one that nobody named: that goes
    into the folder one stands in, which may be the site's.

    Args:
        site: this site.
        named: as a person named it, or None.
        name: the end of its name where nobody did.
        kind: what it is, for messages.
        require: raises an AlxError where the file that is there is of another kind.

    Raises:
        UsageError: says why not.
    """
    path = Path(f"{site.plan.name}-{name}") if named is None else named
    where = escape(str(path), 200)
    with files.storage(path):
        if path.is_dir():
            raise UsageError(f"'{where}' is a folder, expected a file's name", "name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder '{escape(str(path.parent), 200)}'", "make it, or name another")
        if named is not None or not path.parent.samefile(site.folder):
            sites.refuse_inside(path)
        there = path.is_symlink() or path.exists()
    if there:
        try:
            require(path)
        except AlxError as error:
            raise UsageError(f"'{where}' exists, and is no {kind}", "name another file") from error
    return path


def _require_own_identity(site: Site, path: Path) -> None:
    found = identities.parse(carried.read_file(path, identities.MAX_IDENTITY_BYTES))
    if found.key.fingerprint not in {key.fingerprint for key in site.keyring.own}:
        raise PeerError("it is another site's")


def _require_own_request(site: Site, path: Path) -> None:
    request.verify(carried.read_file(path, request.MAX_REQUEST_BYTES), site.public_key)


@click.command(epilog="Example: alx status")
@site_option
@json_option
def status(site: Site, as_json: bool) -> None:
    """Where the exchange stands, and the command to run next."""
    site.require_private()
    entries = site.entries()
    events.missing(events.read(site.events_path), entries)  # this and the next line: what every other command would refuse
    site.check_agreement()
    position = site.position()
    following = _returned(site) or position.next_command
    last = position.selected[-1] if position.selected else None
    if as_json:
        screen.machine(
            {"site": site.folder, "role": site.role, "plan": site.plan.name, "plan_digest": site.plan_file.digest,
             "round": position.round, "rounds": site.plan.rounds, "step": position.step, "next": following,
             "sealed": len(position.sealed), "accepted": len(position.accepted),
             "global_loss": last["global_loss"] if last else None, "samples": last["samples"] if last else None}
        )  # fmt: skip
        return
    screen.tell(f"the {site.role}'s site of plan '{site.plan.name}', round {position.round} of {site.plan.rounds}")
    screen.tell(f"sealed {len(position.sealed)}, accepted {len(position.accepted)}")
    if last:
        screen.tell(f"last selection: {last['label']} of round {last['round']}, global loss {last['global_loss']:.6g}")
    if entries[-1].kind == "restored":
        screen.tell("LOOK: restored from a backup, and nothing was done since; was a bundle sealed or imported after it?")
        screen.tell("docs/keys.md says how to bring the site up to date first; a second bundle of a round is a fork")
    screen.tell(f"next: {following}")


def _returned(site: Site) -> str:
    """The import of a bundle that a reset took out of the inbox again, or nothing."""
    folder = site.folder / RETURNED
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    left = [name for name in names if not (site.inbox / name).exists()]
    return f"alx import-and-select {escape(str(folder / left[-1]), 300)}" if left else ""


@click.command(epilog="Example: alx best ../model.safetensors")
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT.safetensors")
@site_option
@json_option
def best(out: Path, site: Site, as_json: bool) -> None:
    """Write the selected model with the least global loss of all rounds; loading it needs no alx."""
    from alx import turns  # noqa: PLC0415 - torch

    site.require_private()
    new_file(site, out, "best.safetensors", "model of alx best", turns.require_best_file)
    found = turns.best(site)
    files.replace(out, turns.best_file(found), shared=True)
    if as_json:
        screen.machine({"file": out, "round": found.round, "snapshot": found.label, "global_loss": found.global_loss,
                        "samples": found.samples, "held_out": found.held_out})  # fmt: skip
        return
    score = "" if found.held_out is None else f", held-out score {found.held_out:.4f}"
    screen.tell(f"wrote '{out}': {found.label} of round {found.round}, global loss {found.global_loss:.6g}{score}")
