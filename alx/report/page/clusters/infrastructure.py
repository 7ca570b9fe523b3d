"""Infrastructure: the programs that read the bundles now; what trained the models is not in a bundle."""

import platform
from importlib import metadata

from alx import __version__
from alx.report.page import hand_over
from alx.report.page.content import Cluster, Element, Part
from alx.report.page.seen import Seen

READING = (
    "cryptography",
    "pydantic",
    "numpy",
    "zstandard",
    "Jinja2",
)  # what a byte of a bundle, or of this page, goes through


def cluster(seen: Seen) -> Cluster:
    """What is told of machines and programs."""
    words = "The machines and programs. An exchange needs no network: bundles go on a disk that people carry."
    parts = [_now(), _then(seen), *([] if seen.evidence.site is None else [hand_over.media(seen)])]
    return Cluster(key="infrastructure", title="Infrastructure", words=words, parts=parts)


def _now() -> Part:
    told = [Element(name=name, value=_version(name), standing="measured") for name in READING]
    return Part(
        title="What made this report",
        elements=[
            Element(name="alx", value=__version__, standing="measured"),
            Element(name="Python", value=platform.python_version(), standing="measured"),
            Element(name="system", value=f"{platform.system()}, {platform.machine()}", standing="measured"),
            *told,
        ],
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _then(seen: Seen) -> Part:
    site, plan = seen.evidence.site, seen.plan
    configured = (
        Element(name="device of this site's training", value=None, standing="unknown", note="a bundle does not say")
        if site is None
        else Element(name="device of this site's training", value=site.config.device, standing="recorded", note="site.toml")
    )
    encrypted = None if plan is None else plan.encrypt
    if plan is None and seen.reports:
        encrypted = any(getattr(r, "encrypted", True) for r in seen.reports)
    return Part(
        title="What trained, and what carried",
        elements=[
            configured,
            Element(
                name="machines, and versions that trained", value=None, standing="unknown", note="in no bundle or ledger"
            ),
            *(
                [Element(name="drives that carried it", value=None, standing="unknown", note="in the sites' own event logs")]
                if site is None
                else []
            ),
            Element(name="network", value="none is needed or used", standing="measured", note="alx opens no connection"),
            Element(
                name="bundles are encrypted to the two sites",
                value=encrypted,
                standing="unknown" if encrypted is None else "agreed" if plan is not None else "checked",
                note={True: "with age", False: "whoever holds the disk can read them", None: ""}[encrypted],
            ),
        ],
    )
