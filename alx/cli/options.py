"""What several commands take: the site, and files that they write for people."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from alx import files, records
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


def _person(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    del context, parameter
    try:
        return None if value is None else records.person(value)
    except ValueError as error:
        raise UsageError(f"--by '{escape(value or '', records.MAX_PERSON)}': {error}") from error


def by_option(text: str) -> Callable[..., Any]:
    """--by, a person's name; `text` says where it goes."""
    return click.option("--by", "by", callback=_person, metavar="NAME", help=text)


def place_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--site as it was given, as `place`: for a command that may do without a site."""
    return click.option(
        "--site",
        "place",
        type=click.Path(path_type=Path),
        envvar="ALX_SITE",
        metavar="SITE",
        help="The site's folder; default: the one around the current folder, if there is one.",
    )(command)


def around(value: Path | None) -> Site | None:
    """The site named by --site or ALX_SITE, or the one around the current folder; None where there is none."""
    if value is not None:
        return sites.load(value)
    here = Path.cwd()
    inside = any((folder / sites.SITE_NAME).is_file() for folder in (here, *here.parents))
    return sites.find(here) if inside else None


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
    with files.storage(path):
        own = named is None and site is not None and path.parent.samefile(site.folder)
    if _there(path, anywhere=own):
        try:
            require(path)
        except AlxError as error:
            raise UsageError(f"'{escape(str(path), 200)}' exists, and is no {kind}", "name another file") from error
    return path


def unused_file(path: Path) -> Path:
    """A file that is about to be written for people and replaces nothing, refused before any work is done for it.

    Raises:
        UsageError: says why not.
    """
    if _there(path, anywhere=False):
        raise UsageError(f"'{escape(str(path), 200)}' exists", "name another file, or remove it first")
    return path


def _there(path: Path, *, anywhere: bool) -> bool:
    """Whether something has the name of a file that can be written, in a site only where `anywhere`."""
    with files.storage(path):
        if path.is_dir():
            raise UsageError(f"'{escape(str(path), 200)}' is a folder, expected a file's name", "name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"there is no folder '{escape(str(path.parent), 200)}'", "make it, or name another")
        if not anywhere:
            sites.refuse_inside(path)
        return path.is_symlink() or path.exists()
