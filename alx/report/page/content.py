"""What stands in a report: words, findings, plots, and seven clusters of elements and tables.

Knows texts and numbers; knows no bundle and no markup. Every text in it may have come from a peer: what is not printable in
it becomes an escape here, and whoever shows it takes it for text. The clusters are those of the G7's "Software Bill of
Materials (SBOM) for Artificial Intelligence, Minimum Elements" (BSI, 12 May 2026).
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from alx.errors import escape
from alx.records import Finite, Strict

MAX_ROWS = 5000  # of a table: a page of more is none that anybody reads; the bundle itself has all
MAX_TEXT = 2000  # characters; the event log keeps as many of a refusal's message
Text = Annotated[str, AfterValidator(lambda text: escape(text, MAX_TEXT))]

Standing = Literal["checked", "claimed", "recorded", "agreed", "measured", "unknown"]
STANDINGS: dict[Standing, tuple[str, str]] = {
    "checked": ("checked now", "worked out or compared while this report was made"),
    "claimed": ("as its sender wrote", "signed by the sender, and nobody else can check it"),
    "recorded": ("as this site recorded", "in the site's own chained record; times are by its machine's clock"),
    "agreed": ("as both agreed", "in the plan or an identity file that both sides compared"),
    "measured": ("on this machine", "of the machine that wrote this report"),
    "unknown": ("not known", "alx does not know it, and does not guess"),
}
"""How far a value can be relied on: in two words, and in a sentence."""

Key = Literal["metadata", "system", "models", "data", "indicators", "infrastructure", "security"]
Value = bool | int | Finite | Text
Cell = int | Finite | Text | None


class Element(Strict):
    """One thing that is told."""

    name: Text
    value: Value | None = Field(description="null where it is not known")
    standing: Standing = Field(description="how far it can be relied on")
    note: Text = Field(default="", description="what it means, or why it is not known")


class Column(Strict):
    """A column of a table."""

    name: Text
    kind: Literal["text", "number", "digest", "time"] = "text"


class Table(Strict):
    """Rows under names."""

    caption: Text
    standing: Standing = Field(description="of all values in it, where a column does not say otherwise")
    columns: list[Column]
    rows: list[list[Cell]]
    left_out: Annotated[int, Field(ge=0)] = Field(default=0, description="rows beyond the most that a report lists")


def listed(*, caption: str, standing: Standing, columns: list[Column], rows: list[list[Cell]], last: bool = False) -> Table:
    """A table of as many rows as may be: the first, or the last, `MAX_ROWS`; the rest is counted."""
    some = rows[-MAX_ROWS:] if last else rows[:MAX_ROWS]
    return Table(caption=caption, standing=standing, columns=columns, rows=some, left_out=len(rows) - len(some))


class Part(Strict):
    """A heading within a cluster: this is where more is added to a report."""

    title: Text
    words: list[Text] = Field(default_factory=list)
    elements: list[Element] = Field(default_factory=list)
    tables: list[Table] = Field(default_factory=list)


class Cluster(Strict):
    """One of the seven."""

    key: Key
    title: Text
    words: Text = Field(description="what is told here, in a sentence")
    parts: list[Part]


class Point(Strict):
    """One point, or bar, of a plot."""

    x: Annotated[int, Field(ge=0)] = Field(description="index into the plot's ticks")
    y: Finite


class Series(Strict):
    """Points of one kind."""

    name: Text
    style: Literal["line", "dots", "others", "chosen", "bars"]
    points: list[Point]


class Plot(Strict):
    """A plot: its numbers stand here, so that a program needs no picture."""

    title: Text
    words: Text = Field(description="what is to be seen, for whoever does not see it")
    x_label: Text
    y_label: Text
    ticks: list[Text]
    log: bool = Field(default=False, description="the axis of y goes by powers of ten")
    series: list[Series]


class Finding(Strict):
    """What deserves to be read first."""

    kind: Literal["fault", "refusal", "look"] = Field(
        description="fault: does not hold now; refusal: a command refused something; look: deserves a look"
    )
    at: Text | None = Field(description="when, by the machine's clock, in UTC; null where nobody knows")
    text: Text


class Report(Strict):
    """What `alx report` tells."""

    format: Literal["alx-report"] = "alx-report"
    version: Literal[1] = 1
    subject: Literal["site", "bundle"]
    title: Text
    good: bool = Field(description="everything that was looked at holds")
    private: bool = Field(description="it has numbers that never travelled: it is for this site's own people")
    written: Text = Field(description="when it was made, ISO 8601 in UTC")
    words: list[Text] = Field(description="the whole of it in words")
    story: list[Text] = Field(description="who handed what to whom, in order")
    findings: list[Finding]
    plots: list[Plot]
    clusters: Annotated[list[Cluster], Field(min_length=7, max_length=7)] = Field(description="in the order of `Key`")
