"""`alx audit`: verify, then say what is in there. Loads no torch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alx import audit as audits
from alx import files
from alx.bundle import keys
from alx.bundle.signature import SIGNATURE_NAME
from alx.cli import screen
from alx.cli.screen import json_option
from alx.errors import ConfigError, UsageError, escape
from alx.report import audit as words

if TYPE_CHECKING:
    from alx.site.site import Site


@click.command(epilog="Example: alx audit /media/disk/alx-1f3a90c2-r001-learner --key clinic.pem")
@click.argument("target", type=click.Path(path_type=Path), metavar="BUNDLE|SITE")
@click.option(
    "--key", "key_path", type=click.Path(path_type=Path), help="The sender's public key: its PEM, or its identity file."
)
@json_option
def audit(target: Path, key_path: Path | None, as_json: bool) -> None:
    """Verify a bundle, or a whole site with its history, and say what is in it.

    Of a bundle over several disks one is verified by itself: what is whole there, and what is not there.

    Needs neither torch nor a private key, and writes nothing. A bundle needs the sender's public key, from a person
    and never from the disk; inside a site, its own and the pinned peer's are known.
    """
    if is_site(target):
        from alx.site import site as sites  # noqa: PLC0415 - a bundle is looked at without a site

        refuse_key(target, key_path)
        site = sites.load(target)
        site.require_private()
        report = audits.site(site.look())
        screen.machine(report.json()) if as_json else screen.tell(*words.site(target, report))
        return
    known, secret = ([named_key(key_path)], None) if key_path is not None else known_keys()
    found = audits.look(target, known, secret)
    screen.machine(found.json()) if as_json else screen.tell(*words.bundle(found))


def named_key(path: Path) -> keys.PublicKey:
    """A public key out of its PEM file, or out of an identity file."""
    with files.storage(path):
        begins = b""
        if path.is_file():
            with path.open("rb") as file:
                begins = file.read(1)
    if begins != b"{":
        return keys.load_public(path)
    from alx.bundle import identity  # noqa: PLC0415 - of two ways to name a key the rarer one

    return identity.parse(files.read(path, identity.MAX_IDENTITY_BYTES)).key


def is_site(target: Path) -> bool:
    """Whether a folder is a site, and no bundle."""
    # a carried bundle with a site.toml put into it must not be told to be a good site
    with files.storage(target):
        if (target / SIGNATURE_NAME).exists():
            return False
        from alx.site.site import SITE_NAME  # noqa: PLC0415 - as above

        return (target / SITE_NAME).is_file()


def refuse_key(target: Path, key_path: Path | None) -> None:
    """Refuse a key that was named beside a site."""
    if key_path is not None:
        raise UsageError(
            f"'{escape(str(target), 200)}' is a site, which knows its own and the peer's key", "leave out --key"
        )


def known_keys() -> tuple[list[keys.PublicKey], str | None]:
    """The keys, and what opens encrypted bundles, of the site that the person stands in, or has named in ALX_SITE."""
    site = standing_in()
    site.require_private()
    ring = site.look().keyring
    return [*ring.own, *ring.peer], site.secret


def standing_in() -> "Site":
    """The site that the person stands in, or has named in ALX_SITE.

    Never one around a bundle: whoever filled the disk could have put a site there, with keys of their own.
    """
    from alx.site import site as sites  # noqa: PLC0415 - as above

    named = os.environ.get("ALX_SITE")
    try:
        return sites.load(Path(named)) if named else sites.find(Path.cwd())
    except UsageError as error:
        if named or isinstance(error, ConfigError):
            raise
        raise UsageError(
            "whose bundle is it? no --key was given, and this is not inside a site",
            "name the sender's public key with --key; get it from a person, never from the disk",
        ) from error
