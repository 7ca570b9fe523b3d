"""`alx approve`: an officer sees what a bundle holds, and signs that it may be handed over. Loads no torch."""

from pathlib import Path

import click

from alx import audit as audits
from alx import files
from alx.audit import ShareReport
from alx.bundle import approval, keys
from alx.bundle.keys import Unlock
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.audit import trusted
from alx.cli.screen import json_option
from alx.errors import AlxError, TrustError, UsageError
from alx.report import audit as words


@click.command(epilog="Example: alx approve clinic/outbox/alx-1f3a90c2-r001-learner --key smith.pem --from clinic.pem")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--key", "key_path", type=click.Path(path_type=Path), required=True, help="The officer's private key.")
@click.option(
    "--from", "sender", type=click.Path(path_type=Path), help="The sender's public key: its PEM, or its identity file."
)
@click.option("--yes", is_flag=True, help="The bundle was looked at already.")
@passphrases.option
@json_option
def approve(bundle: Path, key_path: Path, sender: Path | None, yes: bool, unlock: Unlock, as_json: bool) -> None:
    """Verify a bundle, show what is in it, and sign with an officer's key that it may be handed over.

    Needs no site. The approval is a small file in a folder beside the bundle; an officer on another machine carries it
    into that folder of the site's outbox. alx export refuses until as many are there as the plan says.
    """
    try:
        known, secret = trusted(sender)
        found = audits.look(bundle, known, secret)
    except AlxError as error:
        error.hint = error.hint.replace("--key", "--from")  # which is what alx audit calls it
        raise
    if isinstance(found, ShareReport):
        raise UsageError("this is one disk's share of a bundle", "approve the whole bundle, in the site's outbox")
    screen.tell(*words.bundle(found), err=as_json)
    if not yes and not screen.agreed("Approve that this bundle leaves the house?"):
        raise TrustError("the bundle was not approved", "nothing was signed")
    made = approval.make(found.digest, keys.load_private(key_path, unlock))
    place = approval.folder(bundle.absolute(), bundle.absolute().name)
    files.make_folder(place, shared=True)
    files.replace(place / made.name, made.data, shared=True)
    if as_json:
        screen.machine(
            {"bundle": bundle, "digest": found.digest, "officer": made.officer.fingerprint, "file": place / made.name}
        )
        return
    screen.tell(f"approved the bundle {found.digest[:16]}… as the officer {made.officer.fingerprint[:16]}…")
    screen.tell(f"wrote '{place / made.name}'", "next: alx export, once as many have approved as the plan says")
