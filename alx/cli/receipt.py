"""`alx receipt`: say, signed, that the peer's bundle was accepted; and read what the peer says of this site's. No torch."""

from pathlib import Path

import click

from alx import files
from alx.bundle import carried
from alx.bundle import receipt as signed
from alx.bundle.keys import Unlock
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.options import by_option, new_file, site_option
from alx.cli.screen import json_option
from alx.errors import UsageError
from alx.report import receipts as words
from alx.site import entries
from alx.site.site import Site
from alx.steps import receipts


@click.command(epilog="Example: alx receipt --read /media/disk")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where the receipt is written.")
@click.option(
    "--read",
    "place",
    type=click.Path(path_type=Path),
    metavar="FILE|DISK",
    help="Read the peer's receipt of the bundle handed over last, out of this file, or from this disk.",
)
@by_option("Who took the disk; it stands in the receipt, which the peer reads.")
@passphrases.option
@site_option
@json_option
def receipt(out: Path | None, place: Path | None, by: str | None, unlock: Unlock, site: Site, as_json: bool) -> None:
    """Write a small signed file that says that the peer's last bundle was accepted here, when, and by whom.

    It goes to the peer by any way. The next export puts one on the disk by itself, and the peer's import reads it from
    there. It says nothing of what was chosen.
    """
    if place is not None:
        if out is not None or by is not None:
            raise UsageError("-o and --by are for a receipt that is written, and --read reads one", "leave out one of them")
        _read(site, place, as_json=as_json)
        return
    with site.unlocked_by(unlock).locked("receipt", "" if out is None else out.name) as now:
        path = new_file(site, out, "receipt.json", "receipt of this site's", lambda p: _require_own(site, p))
        turn = receipts.write(now, path, by)
    if as_json:
        screen.machine({"file": path, "bundle": turn.bundle, "digest": turn.digest})
        return
    screen.tell(f"wrote '{path}': the {turn.what} was accepted here, digest {turn.digest[:16]}…")
    screen.tell("next: carry it to the peer, or send it; it runs alx receipt --read FILE")


def _require_own(site: Site, path: Path) -> None:
    signed.verify(carried.read_file(path, signed.MAX_RECEIPT_BYTES), site.look().public_key)


def _read(site: Site, place: Path, *, as_json: bool) -> None:
    with site.locked("receipt --read", files.named(place).name) as now:
        taken = receipts.take(now, receipts.find(now, place))
    if as_json:
        other = None if taken.other is None else taken.other.model_dump()
        screen.machine({"again": taken.again, "receipt": entries.plain(taken.record), "other": other})
        return
    screen.tell(words.taken(taken.record))
    if taken.other is not None:
        screen.tell(words.other(taken.other.accepted, taken.other.by))
    elif taken.again:
        screen.tell("read already; nothing changed")
