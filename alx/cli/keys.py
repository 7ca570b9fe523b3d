"""The commands about keys: `alx key …`."""

import click

from alx.bundle.keys import Unlock
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.exchange import site_option
from alx.cli.screen import json_option
from alx.site.site import Site


@click.group(epilog="Example: alx key passphrase")
def key() -> None:
    """This site's private key, and the peer's public one."""


@key.command("passphrase", epilog="Example: alx key passphrase")
@click.option("--remove", is_flag=True, help="Leave the private key unencrypted.")
@click.option(
    "--new-passphrase-fd", "new", type=click.IntRange(min=0), metavar="N",
    help="Read the new passphrase from this file descriptor; it may be the old one's: the new is the next line.",
)  # fmt: skip
@passphrases.option
@site_option
@json_option
def passphrase(remove: bool, new: int | None, unlock: Unlock, site: Site, as_json: bool) -> None:
    """Set, change or remove the passphrase of this site's private key."""
    with site.locked("key passphrase"):
        site = site.unlocked_by(unlock)
        private = site.private_key()
        site.put_private_key(private, None if remove else passphrases.choose(new))
    if as_json:
        screen.machine({"key": site.public_key.fingerprint, "passphrase": not remove})
        return
    click.echo("the private key has no passphrase now" if remove else "the private key has the new passphrase now")
    click.echo("backups hold it as it was when they were made")
