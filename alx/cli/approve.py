"""`alx approve`: an officer sees what a bundle holds, and signs that it may be handed over. Loads no torch."""

from pathlib import Path

import click

from alx import audit as audits
from alx import files
from alx.bundle import approval, keys
from alx.bundle.keys import PublicKey, Unlock
from alx.bundle.layout import Place
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.audit import standing_in, trusted
from alx.cli.screen import json_option
from alx.errors import AlxError, TrustError, UsageError
from alx.officers import Officers
from alx.report import audit as words
from alx.verified import Ciphertext, ShareReport


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

    Needs no site. Inside one, which knows the plan, a key that is no officer's is refused, and an encrypted bundle is
    opened: elsewhere nobody sees what that holds. The approval is a small file in a folder beside the bundle; an officer
    on another machine carries it into that folder of the site's outbox. alx export refuses until as many are there as
    the plan says.
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
    unseen = isinstance(found, Ciphertext)
    if unseen:
        screen.tell("LOOK: nobody sees here what it holds; run alx approve inside the site, without --from", err=as_json)
    if not yes and not screen.agreed(f"Approve{' unseen' if unseen else ''} that this bundle leaves the house?"):
        raise TrustError("the bundle was not approved", "nothing was signed")
    key = keys.load_private(key_path, unlock)
    officers = _officers(found.turn)
    if officers is not None:
        approval.refuse_stranger(PublicKey(key.public_key()), officers, "this is")
    made = approval.make(found.digest, key)
    place = files.named(bundle)
    place = approval.folder(place, place.name)
    approval.put(place, [made])
    if as_json:
        screen.machine(
            {
                "bundle": bundle,
                "digest": found.digest,
                "seen": not unseen,
                "officer": made.officer.fingerprint,
                "file": place / made.name,
            }
        )
        return
    screen.tell(f"approved the bundle {found.digest[:16]}… as the officer {made.officer.fingerprint[:16]}…")
    screen.tell(f"wrote '{place / made.name}'", "next: alx export, once as many have approved as the plan says")


def _officers(turn: Place) -> Officers | None:
    """Who has to approve it, where the person stands in a site of its plan, which is the same on both sides."""
    try:
        site = standing_in()
    except UsageError:
        return None
    return site.plan.approvers(turn.sender) if site.plan_file.digest.startswith(turn.plan) else None
