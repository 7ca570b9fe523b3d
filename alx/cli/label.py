"""`alx label`: the page that goes with a disk. Loads no torch."""

from datetime import UTC, datetime
from pathlib import Path

import click

from alx import audit as audits
from alx import files
from alx.cli import screen
from alx.cli.audit import trusted
from alx.cli.options import around, place_option, unused_file
from alx.cli.screen import json_option
from alx.report import label as pages
from alx.steps import drive


@click.command(epilog="Example: alx label /media/disk/alx-1f3a90c2-r001-learner -o label.html")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the page as HTML, for A4, too.")
@click.option(
    "--key", "key_path", type=click.Path(path_type=Path), help="The sender's public key: its PEM, or its identity file."
)
@place_option
@json_option
def label(bundle: Path, out: Path | None, key_path: Path | None, place: Path | None, as_json: bool) -> None:
    """Verify a bundle where it lies, and make the page that is handed over with the disk.

    Drive, plan, round, from, to, size, the digest as a QR code and as twelve words, and lines for two signatures. The
    other side runs it too: by telephone the words show whether both have the same bundle.
    """
    if out is not None:
        unused_file(out)
    known, secret = trusted(key_path, place)
    report = audits.bundle(bundle, known, secret)
    site = None if key_path is not None else around(place)
    sealed_at, attacked_at = (None, None) if site is None else audits.known_at(site.look(), report.digest)
    made = pages.Label(report, drive.of(bundle), sealed_at, datetime.now(UTC).isoformat(timespec="seconds"), attacked_at)
    if out is not None:
        files.create(out, pages.page(made).encode(), shared=True)
    screen.machine(made.json()) if as_json else screen.tell(*pages.lines(made))
