"""`alx report`: a page for a compliance officer. Loads no torch."""

from datetime import UTC, datetime
from pathlib import Path

import click

from alx import evidence as evidences
from alx.bundle.keys import Unlock
from alx.cli import audit as audits
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.options import new_file
from alx.cli.screen import json_option
from alx.errors import UsageError, count
from alx.evidence import Evidence
from alx.report.page import file
from alx.report.page import report as made
from alx.report.page.content import Report
from alx.report.page.seen import Seen
from alx.site import site as sites
from alx.site.site import Site


@click.command(epilog="Example: alx report /srv/clinic -o report.html")
@click.argument("target", type=click.Path(path_type=Path), metavar="SITE|BUNDLE")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where the page is written.")
@click.option(
    "--key", "key_path", type=click.Path(path_type=Path), help="The sender's public key: its PEM, or its identity file."
)
@click.option(
    "--sign", is_flag=True, help="Sign it with the key of the site, of a bundle with that of the site around: FILE.sig."
)
@passphrases.option
@json_option
def report(target: Path, out: Path | None, key_path: Path | None, sign: bool, unlock: Unlock, as_json: bool) -> None:
    """Write one page on a site's whole exchange, or on a bundle: who sent what to whom, what was chosen, what was refused.

    It needs neither torch nor a private key, and works on a copy of a site that has no keys. Everything in it that can be
    verified is verified first; of a damaged copy it tells what still holds. With --json and no FILE it is printed.
    """
    if out is None and (sign or not as_json):
        raise UsageError("there is no file for the report", "name one with -o FILE")
    if out is not None:
        file.refuse_in_bundle(out)
        new_file(None, out, "", "report of alx's", file.require_report)
        new_file(None, file.signature_path(out), "", "signature of alx's", file.require_signature)
    site, found = _looked(target, key_path)
    seen = Seen(found, datetime.now(UTC).isoformat(timespec="seconds"))
    if out is None:
        screen.machine(made.report(seen).model_dump())
    elif not sign or found.faults:
        _told(file.write(out, seen, as_json=as_json), out)
    else:
        with (site or audits.standing_in()).unlocked_by(unlock).locked("report", out.name) as now:
            said = file.sign(out, seen, now, as_json=as_json)
        _told(said, out)
        screen.tell(f"'{file.signature_path(out)}': signed with the key {now.public_key.fingerprint[:16]}…")
    if found.faults:
        if sign:
            screen.tell("not signed: not everything in it holds")
        raise found.faults[0].error


def _looked(target: Path, key_path: Path | None) -> tuple[Site | None, Evidence]:
    """The site, where it is one; and what was found."""
    if audits.is_site(target):
        audits.refuse_key(target, key_path)
        site = sites.load(target)
        return site, evidences.site(site)
    known, secret = ([audits.named_key(key_path)], None) if key_path is not None else audits.known_keys()
    return None, evidences.bundle(target, known, secret)


def _told(said: Report, out: Path) -> None:
    faults, refusals, looks = (sum(f.kind == kind for f in said.findings) for kind in ("fault", "refusal", "look"))
    screen.tell(f"wrote '{out}': {said.title}")
    good = "everything that was looked at holds" if said.good else "not everything could be shown to hold"
    screen.tell(f"{good}: {count(faults, 'fault')}, {count(refusals, 'refusal')}, {count(looks, 'thing')} to look at")
    if said.private:
        screen.tell("for this site's own people: it has numbers that never travelled")
