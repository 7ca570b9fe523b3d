"""`alx leakage`: attacks on one's own bundle, before it is handed over; torch is imported when it runs."""

import click

from alx.cli import screen
from alx.cli.options import site_option
from alx.cli.screen import json_option
from alx.site import events
from alx.site.site import Site


@click.command(epilog="Example: alx leakage")
@click.option(
    "--round", "number", type=click.IntRange(min=1), metavar="N", help="The round; default: the last that was sealed."
)
@site_option
@json_option
def leakage(number: int | None, site: Site, as_json: bool) -> None:
    """Attack this site's own sealed bundle as its receiver could: who was trained on, which classes are held here.

    Each attack is measured against the truth, which this site knows, and by samples that it keeps apart. The figures stay
    in the site's event log, and on the page of alx report SITE. That nothing is found does not make a bundle safe.
    """
    from alx import turns  # noqa: PLC0415 - torch

    about = "" if number is None else f"round {number}"
    with site.locked("leakage", about) as now, screen.progress() as tell:
        found = turns.attack(now, number, tell)
        events.record(site.events_path, found.record)
    screen.machine(found.json()) if as_json else screen.tell(*found.words())
