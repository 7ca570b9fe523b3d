"""What several commands take: the site, and files that they write for people."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from alx import files
from alx.errors import AlxError, UsageError, escape
from alx.site import site as sites
from alx.site.site import Site


def the_site(context: click.Context, parameter: click.Parameter, value: Path | None) -> Site:
    """The site named by --site or ALX_SITE, or the one around the current folder."""
    del context, parameter
    return at(value)


def at(named: Path | None) -> Site:
    """The site that a person named, or else the one around the current folder."""
    return sites.find(Path.cwd()) if named is None else sites.load(named)


def site_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--site."""
    return click.option(
        "--site",
        "site",
        type=click.Path(path_type=Path),
        envvar="ALX_SITE",
        callback=the_site,
        metavar="SITE",
        help="The site's folder; default: the one around the current folder.",
    )(command)


def new_file(site: Site | None, named: Path | None, name: str, kind: str, require: Callable[[Path], object]) -> Path:
    """A file that is about to be written for people, refused before any work is done for it.

    It may replace one of its own kind, and nothing else. It does not lie in a site, but for one that nobody named: that goes
    into the folder one stands in, which may be the site's.

    Args:
        site: this site; None where a command needs none.
        named: as a person named it, or None.
        name: its name where nobody did; in a site the end of it, after the plan's.
        kind: what it is, for messages.
        require: raises an AlxError where the file that is there is of another kind.

    Raises:
        UsageError: says why not.
    """
    path = named or Path(name if site is None else f"{site.plan.name}-{name}")
    where = escape(str(path), 200)
    with files.storage(path):
        if path.is_dir():
            raise UsageError(f"'{where}' is a folder, expected a file's name", "name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder '{escape(str(path.parent), 200)}'", "make it, or name another")
        if named is not None or site is None or not path.parent.samefile(site.folder):
            sites.refuse_inside(path)
        there = path.is_symlink() or path.exists()
    if there:
        try:
            require(path)
        except AlxError as error:
            raise UsageError(f"'{where}' exists, and is no {kind}", "name another file") from error
    return path
