"""The page that goes with a disk: what is on it, for the two people who hand it over.

Knows what `alx.audit` verified; verifies nothing. Whatever stands here that came from outside is escaped.
"""

import html
from dataclasses import dataclass

from alx import __version__, files
from alx.bundle import keys
from alx.bundle.closing import Closing
from alx.errors import count
from alx.steps.drive import Drive
from alx.verified import BundleReport

QUIET = 4  # modules of white around the code, ISO/IEC 18004
MODULE = 0.11  # centimetres of a module: the code is 4.5 cm wide, and a telephone reads it from a hand's distance
_CHECKS = (
    "the signature is valid, by the key of its sender",
    "each file has the size and the digest that were signed, and no file is there beside them",
    "each model whose weights are there was opened: its digest is as signed, every number finite",
)
_STYLE = """
@page { size: A4; margin: 12mm 18mm }
* { box-sizing: border-box }
body { font: 10.5pt/1.35 sans-serif; color: #000; background: #fff; max-width: 174mm; margin: 0 auto; padding: 0 4mm }
h1 { font-size: 17pt; margin: 0 0 3mm }
h2 { font-size: 12pt; margin: 4mm 0 1.5mm; border-bottom: 1px solid #000 }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: normal; color: #444; width: 34mm; vertical-align: top; padding: 0.6mm 3mm 0.6mm 0 }
td { vertical-align: top; padding: 0.6mm 0; font-size: 10pt; overflow-wrap: anywhere }
.digest { display: flex; flex-wrap: wrap; gap: 6mm; align-items: center }
.digest ol { flex: 1; columns: 2; column-gap: 16mm; margin: 0; font-size: 13pt; font-weight: bold }
.digest svg { flex: none }
code { font-size: 9pt; overflow-wrap: anywhere }
.sign { display: flex; flex-wrap: wrap; gap: 10mm; margin-top: 4mm }
.sign p { flex: 1 1 60mm; margin: 10mm 0 0; border-top: 1px solid #000; padding-top: 1mm }
"""


@dataclass(frozen=True, slots=True)
class Label:
    """What a page says.

    Attributes:
        report: the bundle, as it was verified just now.
        drive: what it lies on.
        sealed_at: when, by the log of the site that sealed it; None where that is not here.
        checked_at: when it was verified, ISO 8601 in UTC.
        attacked_at: when that site last attacked it as its receiver could; the figures are for its own people.
    """

    report: BundleReport
    drive: Drive
    sealed_at: str | None
    checked_at: str
    attacked_at: str | None = None

    @property
    def words(self) -> str:
        """The twelve words of the bundle's digest: both sides read them out by telephone."""
        return keys.words(self.report.digest)

    @property
    def checks(self) -> tuple[str, ...]:
        """What was looked at; a closing holds no models."""
        return _CHECKS[:2] if isinstance(self.report.manifest, Closing) else _CHECKS

    @property
    def _round(self) -> str:
        """What its round is of."""
        return "closing after round" if isinstance(self.report.manifest, Closing) else "round"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is known, name by name."""
        m, unknown = self.report.manifest, "unknown: the system does not tell"
        return [
            ("bundle", m.name()),
            ("plan", m.plan),
            (self._round, str(m.round)),
            ("from", f"the {m.sender.role}, key {m.sender.key}"),
            ("to", f"the {m.receiver.role}, key {m.receiver.key}"),
            ("sealed at", self.sealed_at or "known to the site that sealed it alone"),
            *(
                []
                if self.attacked_at is None
                else [("attacks tried", f"by its sender, {self.attacked_at}; figures stay there")]
            ),
            *(
                []
                if isinstance(m, Closing) or m.told is None
                else [("tells", f"second moments of its samples' {m.told.features} features, and their sums by class")]
            ),
            ("size", f"{files.size(self.report.size)} in {count(self.report.files, 'file')}"),
            ("drive", self.drive.name or unknown),
            ("serial number", self.drive.serial or unknown),
            ("file system", self.drive.file_system or unknown),
            ("checked at", f"{self.checked_at}, with alx {__version__}"),
        ]

    def json(self) -> dict[str, object]:
        """For machines."""
        rows: dict[str, object] = {name.replace(" ", "_"): value for name, value in self.rows}
        rows[self._round.replace(" ", "_")] = self.report.manifest.round
        return {"digest": self.report.digest, "words": self.words, "checks": list(self.checks), **rows}


def lines(label: Label) -> list[str]:
    """The page as text."""
    return [
        "hand-over of a disk",
        *(f"  {name:<20} {value}" for name, value in label.rows),
        f"  {'digest':<20} {label.report.digest}",
        f"  {'its words':<20} {label.words}",
        "checked just now:",
        *(f"  {check}" for check in label.checks),
        "handed over by, date, signature:  ______________________________",
        "received by, date, signature:     ______________________________",
    ]


def code(digest: str) -> str:
    """A QR code of the digest in capitals (they make a smaller code) as SVG."""
    import segno  # noqa: PLC0415 - a third of a second, for the page alone

    made = segno.make_qr(digest.upper(), error="q", boost_error=False)
    side = len(made.matrix) + 2 * QUIET
    path = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(made.matrix) for x, dark in enumerate(row) if dark
    )
    return (
        f'<svg role="img" aria-label="QR code of the digest" width="{side * MODULE:.2f}cm" height="{side * MODULE:.2f}cm" '
        f'viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><path d="{path}"/></svg>'
    )


def page(label: Label) -> str:
    """The page as HTML that asks for nothing from elsewhere, for a sheet of A4."""
    rows = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(v)}</td></tr>" for n, v in label.rows)
    words = "".join(f"<li>{html.escape(word)}</li>" for word in label.words.split())
    checks = "".join(f"<li>{html.escape(check)}</li>" for check in label.checks)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(label.report.manifest.name())}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Hand-over of a disk</h1><table>{rows}</table>"
        f'<h2>The bundle\'s digest</h2><div class="digest">{code(label.report.digest)}<ol>{words}</ol></div>'
        f"<p><code>{html.escape(label.report.digest)}</code></p>"
        "<p>Read the twelve words to the other side by telephone. Where they differ, the two have different bundles.</p>"
        f"<h2>Checked when this page was made</h2><ul>{checks}</ul>"
        '<h2>Signatures</h2><div class="sign"><p>handed over by (name, date, signature)</p>'
        "<p>received by (name, date, signature)</p></div></body></html>\n"
    )
