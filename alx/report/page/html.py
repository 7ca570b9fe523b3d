"""A report as one HTML page that asks for nothing: no script, no link to outside, plots within.

Knows the content and the template beside it; knows no bundle. Jinja2 escapes every text that is put in; a name that the
template asks for and that is not there stops it.
"""

import re
from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from alx.report.page.content import STANDINGS, Report
from alx.report.page.drawing import drawing

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_DIGEST = re.compile(r"[0-9a-f]{64}")
SIGNIFICANT = 6  # digits of a number on the page; the JSON has all


def page(report: Report) -> bytes:
    """The page, in UTF-8."""
    drawings = [(plot, drawing(plot)) for plot in report.plots]
    made = _template().render(report=report, drawings=drawings, standings=STANDINGS, policy=POLICY)
    return made.encode("utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("alx.report.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shown"] = shown
    environment.filters["time"] = time
    environment.tests["digest"] = lambda value: isinstance(value, str) and bool(_DIGEST.fullmatch(value))
    return environment.get_template("page.html")


def time(at: str) -> str:
    """A time in UTC as people read it."""
    return at[:19].replace("T", " ")


def shown(value: object) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.{SIGNIFICANT}g}"
    return str(value)
