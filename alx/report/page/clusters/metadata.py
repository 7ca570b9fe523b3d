"""Metadata: of the report itself. Who made it, when, with what, out of what, and who vouches for it."""

from alx import __version__
from alx.report.page.content import Cluster, Element, Part
from alx.report.page.seen import Seen


def cluster(seen: Seen) -> Cluster:
    """What is told of the report."""
    return Cluster(key="metadata", title="Metadata", words="About this report itself.", parts=[_report(seen)])


def _report(seen: Seen) -> Part:
    site = seen.evidence.site
    made_of = "a carried bundle" if site is None else "the folder of a site, or a copy of it"
    nobody = "alx asks nobody who makes a report: write it beside your signature; names elsewhere are of whoever took a disk"
    signature = (
        Element(name="signature", value="none", standing="measured", note="alx report --sign makes one")
        if seen.signature is None
        else Element(
            name="signature",
            value=seen.signature,
            standing="recorded",
            note="beside this report, over all of its bytes; the page says how it is verified, the file whether it is good",
        )
    )
    key = "" if seen.signer else "nobody signed it"
    return Part(
        title="This report",
        elements=[
            Element(name="author", value=None, standing="unknown", note=nobody),
            Element(name="author's key", value=seen.signer, standing="recorded" if seen.signer else "unknown", note=key),
            Element(name="made at", value=seen.written, standing="measured", note="by this machine's clock, UTC"),
            Element(name="made with", value=f"alx {__version__}", standing="measured"),
            Element(name="format", value="alx-report, version 1", standing="measured", note="schemas/report.schema.json"),
            Element(name="made out of", value=made_of, standing="measured", note="read now; nothing in it was changed"),
            signature,
        ],
    )
