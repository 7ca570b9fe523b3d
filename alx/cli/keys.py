"""The commands about keys: `alx key …`."""

from pathlib import Path

import click

from alx import files
from alx.bundle import carried, keys, rotation
from alx.bundle.keys import Unlock
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.options import new_file, site_option
from alx.cli.screen import json_option
from alx.errors import PeerError, TrustError, UsageError, escape
from alx.site import events
from alx.site.entries import Passphrase
from alx.site.site import Site
from alx.steps import rotating


@click.group(epilog="Example: alx key passphrase")
def key() -> None:
    """This site's private key, and the peer's public one."""


@key.command("passphrase", epilog="Example: alx key passphrase")
@click.option("--remove", is_flag=True, help="Leave the private key unencrypted.")
@click.option(
    "--new-passphrase-fd",
    "new",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the new passphrase from this file descriptor; it may be the old one's: the new is the next line.",
)
@passphrases.option
@site_option
@json_option
def passphrase(remove: bool, new: int | None, unlock: Unlock, site: Site, as_json: bool) -> None:
    """Set, change or remove the passphrase of this site's private key."""
    with site.unlocked_by(unlock).locked("key passphrase") as now:
        private = now.private_key()
        site.put_private_key(private, None if remove else passphrases.choose(new))
        events.record(site.events_path, Passphrase(what="removed" if remove else "set"))
    if as_json:
        screen.machine({"key": now.public_key.fingerprint, "passphrase": not remove})
        return
    screen.tell("the private key has no passphrase now" if remove else "the private key has the new passphrase now")
    screen.tell("backups hold it as it was when they were made")


@key.command("officer", epilog="Example: alx key officer smith.pem")
@click.argument("out", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--passphrase", "asked", is_flag=True, help="Ask for a passphrase that encrypts the private key.")
@json_option
def officer(out: Path, asked: bool, as_json: bool) -> None:
    """Make a key for an officer who approves bundles, and print the fingerprint that goes into the plan. Needs no site."""
    with files.storage(out):
        if out.exists() or out.is_symlink():
            raise UsageError(f"'{escape(str(out), 200)}' exists, and a key is not overwritten", "name a new file")
    private = keys.generate()
    files.create(out, keys.private_pem(private, passphrases.choose(None) if asked else None))
    fingerprint = keys.PublicKey(private.public_key()).fingerprint
    if as_json:
        screen.machine({"file": out, "key": fingerprint})
        return
    screen.tell(f"wrote the private key '{out}'; the officer keeps it, and nobody else", f"fingerprint: {fingerprint}")
    screen.tell("next: put the fingerprint into [officers] of the plan")


@key.command("rotate", epilog="Example: alx key rotate /media/disk/clinic-rotation.json")
@click.argument("out", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@passphrases.option
@site_option
@json_option
def rotate(out: Path | None, unlock: Unlock, site: Site, as_json: bool) -> None:
    """Replace this site's private key by a new one, and write the small file that tells the peer.

    The old key signs the file, and so does the new one. Asked again before the next turn is sealed, it writes the same
    file again. Refused while a bundle that the old key signed is on its way.
    """
    out = new_file(
        site, out, f"{site.role}-rotation.json", "rotation file of this site's", lambda path: _require_own(site, path)
    )
    with site.unlocked_by(unlock).locked("key rotate", out.name) as now:
        made, again = rotating.rotate(now)
        files.replace(out, made.data, shared=True)
    if as_json:
        screen.machine(
            {"file": out, "old": made.old.fingerprint, "new": made.new.fingerprint, "words": made.words, "again": again}
        )
        return
    screen.tell(
        f"{'the key was replaced already' if again else 'replaced the key'}: {made.old.fingerprint[:16]}… by "
        f"{made.new.fingerprint[:16]}…"
    )
    screen.tell(f"wrote '{out}'; the new key's words: {made.words}")
    screen.tell("next: carry the file to the peer; compare the words by telephone; the peer runs alx key accept FILE")


def _require_own(site: Site, path: Path) -> None:
    data = carried.read_file(path, rotation.MAX_ROTATION_BYTES)
    old = next((key for key in site.look().keyring.own if key.fingerprint == rotation.claimed_keys(data)[0]), None)
    if old is None:
        raise PeerError("it is another site's")
    rotation.verify(data, old)


@key.command("accept", epilog="Example: alx key accept /media/disk/clinic-rotation.json")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="The words were compared already.")
@site_option
@json_option
def accept(file: Path, yes: bool, site: Site, as_json: bool) -> None:
    """Verify the peer's rotation with the pinned key, show the new key's words, and pin the new key.

    Compare the words: whoever has stolen the old key can sign such a file too. From then on, a bundle that the old key
    signed is refused.
    """
    data = carried.read_file(file, rotation.MAX_ROTATION_BYTES)
    with site.locked("key accept", file.name) as now:
        got, again = rotating.check(now, data)
        if not as_json or not yes:
            screen.tell(f"the {got.file.role}'s key {got.old.fingerprint[:16]}… names its successor", err=as_json)
            screen.tell(f"the new key's words: {got.words}", err=as_json)
        if not again and not yes and not screen.compared():
            raise TrustError(
                "the words were not the same, so the new key was not pinned",
                "somebody may hold the peer's old key: import nothing, and ask the peer",
            )
        rotating.accept(now, data)
    if as_json:
        screen.machine({"old": got.old.fingerprint, "new": got.new.fingerprint, "words": got.words, "again": again})
        return
    screen.tell(f"{'was pinned already:' if again else 'pinned'} the key {got.new.fingerprint[:16]}…")
    screen.tell(f"next: {now.position.next_command}")
