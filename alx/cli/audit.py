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
from alx.errors import AlxError, ConfigError, UsageError, escape
from alx.report import audit as words

if TYPE_CHECKING:
    from alx.site.site import Site


@click.command(epilog="Example: alx audit /media/disk/alx-1f3a90c2-r001-learner --key clinic.pem")
@click.argument("targets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="BUNDLE|SITE...")
@click.option(
    "--key",
    "key_paths",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A sender's public key: its PEM, or its identity file. May be repeated.",
)
@json_option
def audit(targets: tuple[Path, ...], key_paths: tuple[Path, ...], as_json: bool) -> None:
    """Verify a bundle, or a whole site with its history, and say what is in it.

    Of a bundle over several disks one is verified by itself: what is whole there, and what is not there.

    Several bundles or sites are also compared: two different bundles for one turn are a fork (16), and are named with
    their digests and words. Copies of one bundle are one.

    Where a bundle between them is missing, or one is encrypted and no age key is at hand, nobody sees whether they are of
    one history, and then that is said.

    Needs neither torch nor a private key, and writes nothing. A bundle needs the sender's public key, from a person
    and never from the disk. Inside a site its own and the pinned peer's are known. A site that is named
    lends its keys to no bundle beside it: whoever filled a disk could have put one there.
    """
    if len(targets) > 1:
        _compare(targets, key_paths, as_json=as_json)
        return
    (target,) = targets
    if is_site(target):
        for key_path in key_paths:
            refuse_key(target, key_path)
        report = audits.site(_opened(target))
        screen.machine(report.json()) if as_json else screen.tell(*words.site(target, report))
        return
    known, secret = _trusted(key_paths)
    found = audits.look(target, known, secret)
    screen.machine(found.json()) if as_json else screen.tell(*words.bundle(found))


def _compare(targets: tuple[Path, ...], key_paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Verify each, then look for two histories."""
    from alx import forks  # noqa: PLC0415 - of one bundle there is nothing to compare
    from alx.report import forks as told  # noqa: PLC0415 - as above

    sites = {target: _opened(target) for target in targets if is_site(target)}
    bundles = [target for target in targets if target not in sites]
    known, secret = _trusted(key_paths) if bundles else ([], None)
    reports: list[forks.Verified] = []
    for site in sites.values():
        reports += audits.site(site).bundles
        secret = secret or site.secret_here
    for target in bundles:
        try:
            reports.append(audits.look(target, known, secret))
        except AlxError as error:
            raise error.within(f"'{escape(str(target), 200)}'") from error
    found = forks.compared(reports)
    screen.machine(found.json()) if as_json else screen.tell(*told.lines(found))
    found.refuse()


def _opened(target: Path) -> "Site":
    """A site that a person named."""
    from alx.site import site as sites  # noqa: PLC0415 - a bundle is looked at without a site

    site = sites.load(target)
    site.require_private()
    return site


def _trusted(key_paths: tuple[Path, ...]) -> tuple[list[keys.PublicKey], str | None]:
    """As `trusted`, with any number of keys."""
    return ([_named_key(path) for path in key_paths], None) if key_paths else _known_keys()


def trusted(key_path: Path | None, place: Path | None = None) -> tuple[list[keys.PublicKey], str | None]:
    """The keys that a bundle may be signed with, and what opens it where it is encrypted.

    Args:
        key_path: as a person named it; None for those of the site.
        place: the site, where the person named one; None for the one that the person stands in.

    Raises:
        UsageError: neither is there.
        AlxError: the key, or the site, cannot be read.
    """
    return _known_keys(place) if key_path is None else _trusted((key_path,))


def _named_key(path: Path) -> keys.PublicKey:
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


def _known_keys(place: Path | None = None) -> tuple[list[keys.PublicKey], str | None]:
    """The keys, and what opens encrypted bundles, of the site that the person stands in, or has named in ALX_SITE."""
    site = standing_in(place)
    site.require_private()
    ring = site.look().keyring
    return [*ring.own, *ring.peer], site.secret_here


def standing_in(place: Path | None = None) -> "Site":
    """The site that the person stands in, or has named in ALX_SITE.

    Never one around a bundle: whoever filled the disk could have put a site there, with keys of their own.
    """
    from alx.site import site as sites  # noqa: PLC0415 - as above

    named = place or os.environ.get("ALX_SITE")
    try:
        return sites.load(Path(named)) if named else sites.find(Path.cwd())
    except UsageError as error:
        if named or isinstance(error, ConfigError):
            raise
        raise UsageError(
            "whose bundle is it? no sender's key was named, and this is not inside a site",
            "name the sender's public key with --key; get it from a person, never from the disk",
        ) from error
