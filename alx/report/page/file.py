"""A report as a file, and the signature beside it: what may be written where, and in which bytes.

Knows places and bytes; knows nothing of what is told.
"""

import hashlib
import os
from pathlib import Path

from alx import files
from alx.bundle import signature, strict_json
from alx.bundle.signature import SIGNATURE_NAME
from alx.errors import MalformedError, UsageError, escape
from alx.report.page.content import Report
from alx.report.page.report import report
from alx.report.page.seen import Seen
from alx.site import events
from alx.site.entries import Reported
from alx.site.state import SiteState

SUFFIX = ".sig"
# What a report, and a signature, begin with: another one may take its place.
REPORTS = (b'<!DOCTYPE html>\n<html lang="en">\n<!-- alx report -->', b'{\n "format": "alx-report"')
SIGNATURES = (b'{\n "mediaType": "application/vnd.dev.sigstore.bundle',)


def signature_path(out: Path) -> Path:
    """Where the signature of a report lies."""
    return out.with_name(out.name + SUFFIX)


def require_report(path: Path) -> None:
    """Refuse a file that is no report.

    Raises:
        MalformedError: it is none.
    """
    _require(path, REPORTS)


def require_signature(path: Path) -> None:
    """Refuse a file that is no signature.

    Raises:
        MalformedError: it is none.
    """
    _require(path, SIGNATURES)


def _require(path: Path, kinds: tuple[bytes, ...]) -> None:
    with files.storage(path), path.open("rb") as file:
        begins = file.read(max(map(len, kinds)))
    if not begins.startswith(kinds):
        raise MalformedError("it is another kind of file")


def refuse_in_bundle(out: Path) -> None:
    """Refuse a place in a bundle: a file more, and it is not what was signed.

    Raises:
        UsageError: names the bundle.
    """
    for folder in Path(os.path.realpath(out)).parents:
        with files.storage(folder):
            inside = (folder / SIGNATURE_NAME).exists()
        if inside:
            raise UsageError(f"'{escape(str(out), 200)}' lies in the bundle '{escape(folder.name)}'", "name another place")


def content(said: Report, *, as_json: bool) -> bytes:
    """The bytes of a report: a page, or JSON."""
    if as_json:
        return strict_json.text(said)
    from alx.report.page import html  # noqa: PLC0415 - jinja2, for the page alone

    return html.page(said)


def write(out: Path, seen: Seen, *, as_json: bool) -> Report:
    """Write a report that is not signed; the signature of the one that it replaces goes, as it is of that one.

    One that is private can be read by its writer alone.

    Raises:
        SpaceError, StorageError: see `files.storage`.
    """
    said = report(seen)
    files.replace(out, content(said, as_json=as_json), shared=not said.private)
    with files.storage(out):
        signature_path(out).unlink(missing_ok=True)
    return said


def sign(out: Path, seen: Seen, now: SiteState, *, as_json: bool) -> Report:
    """Write a report and its signature by a site, recorded in the site's event log before they have their names.

    Raises:
        TrustError, UsageError: see `SiteState.private_key`.
        SpaceError, StorageError: see `files.storage`.
    """
    key, beside = now.private_key(), signature_path(out)
    said = report(Seen(seen.evidence, seen.written, beside.name, now.public_key.fingerprint))
    data = content(said, as_json=as_json)
    both = {out: data, beside: signature.sign_alone(out.name, data, key)}
    made = Reported(file=escape(out.name), digest=hashlib.sha256(data).hexdigest())
    with files.replacing_all(both, shared=not said.private):
        events.record(now.site.events_path, made)
    return said
