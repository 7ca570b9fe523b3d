"""The commands for a bad day: backup, restore, and a lost ledger."""

from pathlib import Path

import click

from alx import files
from alx.cli import screen
from alx.cli.options import site_option
from alx.cli.screen import json_option
from alx.errors import TrustError, count, escape
from alx.site import entries
from alx.site.site import AGE_NAME, RETURNED, Site
from alx.site.state import SiteState

OUTSIDE = "not in it: data that lie outside the site's folder"


@click.command(epilog="Example: alx backup /media/disk/clinic-backup")
@click.argument("folder", type=click.Path(path_type=Path), metavar="FOLDER")
@site_option
@json_option
def backup(folder: Path, site: Site, as_json: bool) -> None:
    """Copy the whole site into a new folder, read it back, and list the digests of all files.

    The private key is in it. Do it after each turn: a site that is restored from an older backup has lost the turns since.
    """
    from alx.upkeep import backup as backups  # noqa: PLC0415 - only this command

    with site.locked("backup", files.named(folder).name) as now, screen.progress() as tell:
        made = backups.back_up(now, folder, tell)
    if as_json:
        screen.machine(made.json())
        return
    screen.tell(f"'{made.folder}': {count(len(made.list.files), 'file')}, {files.size(made.size)}, read back and verified")
    screen.tell(
        "the private key is in it, "
        + ("encrypted by its passphrase" if made.encrypted else "and has no passphrase: keep the backup as safe as the site")
    )
    if any(f.name == AGE_NAME for f in made.list.files):
        screen.tell(f"{AGE_NAME} is in it and has no passphrase: whoever has the backup can read every bundle")
    if made.readable:
        screen.tell("LOOK: this file system keeps no modes: whoever holds the disk can read the private key file")
    for name in made.left_out:
        screen.tell(f"not in it: '{escape(name, 200)}', which is a link or no plain file")
    screen.tell(OUTSIDE)


@click.command(epilog="Example: alx restore /media/disk/clinic-backup clinic")
@click.argument("folder", type=click.Path(path_type=Path), metavar="BACKUP")
@click.argument("target", type=click.Path(path_type=Path), metavar="SITE")
@json_option
def restore(folder: Path, target: Path, as_json: bool) -> None:
    """Make a site of a backup, after every file was verified; the ledger records it."""
    from alx.upkeep import backup as backups  # noqa: PLC0415 - only this command

    with screen.progress() as tell:
        site = backups.restore(folder, target, tell)
    now = site.look()
    position = now.position
    if as_json:
        screen.machine(
            {
                "site": site.folder,
                "role": site.role,
                "sealed": len(position.sealed),
                "accepted": len(position.accepted),
                "next": position.next_command,
            }
        )
        return
    screen.tell(
        f"restored the {site.role}'s site '{site.folder}', with {count(len(position.sealed), 'bundle')} sealed and "
        f"{len(position.accepted)} accepted"
    )
    screen.tell(OUTSIDE)
    screen.tell(
        "LOOK: was a bundle sealed or imported after this backup? This site does not know of it, and would seal that round "
        "a second time, a fork that the peer refuses. Then first, as docs/keys.md says: put those bundles back from the "
        "disks, delete ledger.sqlite, and run alx reset-ledger"
    )
    _tell_peer_key(now)
    screen.tell(f"next, if none was: {position.next_command}")


def _tell_peer_key(now: SiteState) -> None:
    """What was restored or rebuilt may not know that the peer has replaced its key."""
    if now.keyring.peer:
        screen.tell(
            f"LOOK: the peer's key is {now.peer_key.fingerprint[:16]}… here. Has the peer replaced it since? Then run "
            "alx key accept with each rotation file before any import: until then a bundle by the old key would be taken"
        )


@click.command("reset-ledger", epilog='Example: alx reset-ledger --reason "ledger.sqlite was deleted by mistake"')
@click.option("--reason", required=True, help="What happened; it is recorded.")
@click.option("--yes", is_flag=True, help="The peer's words were compared again already.")
@site_option
@json_option
def reset_ledger(reason: str, yes: bool, site: Site, as_json: bool) -> None:
    """Rebuild a lost, broken or too old ledger from what is signed, where there is no backup to restore.

    Every bundle of the site is verified whole, and the peer's words are compared again. What was never signed stays
    unknown: one's own losses in rounds gone by. Refused where the ledger is good.
    """
    from alx.upkeep import reset as recoveries  # noqa: PLC0415 - only this command

    with site.held("reset-ledger"):
        made = recoveries.finish(site)
        if made is None:
            found = recoveries.find(site)
            verified = len(found.bundles) + (found.again is not None)
            screen.tell(f"{found.why}; {count(verified, 'bundle')} verified", err=as_json)
            for what, words in found.peer_words.items():
                screen.tell(f"the peer's words, of {what}: {words}", err=as_json)
            if found.peer and not yes and not screen.compared():
                raise TrustError("the words were not the same, so nothing was reset", "restore the site from a backup")
            made = recoveries.reset(site, found, reason)
    now = site.look()
    position, again = now.position, made.import_again
    where = None if again is None else site.folder / RETURNED / again
    if as_json:
        screen.machine(
            {"ledger": site.ledger_path, "reset": entries.plain(made), "import_again": where, "next": position.next_command}
        )
        return
    if made.bundles is None:
        screen.tell("reset: a new event log begins, and says so; what was refused before, and all times, are unknown")
    else:
        screen.tell(f"reset: the ledger has {made.rebuilt} entries now, and says so; one's own past losses are unknown")
        _tell_peer_key(now)
    if where is not None:
        screen.tell("the selection from the bundle imported last was lost with the ledger")
        screen.tell(f"next: alx import-and-select {where}")
        return
    screen.tell(f"next: {position.next_command}")
