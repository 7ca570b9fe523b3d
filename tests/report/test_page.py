"""The page: it asks for nothing, no text in it becomes markup, and whoever cannot see it well can read it."""

import itertools
import json
import math
import re
import shutil

import pytest
from pydantic import TypeAdapter

from alx.bundle import keys, write
from alx.bundle.keys import PublicKey
from alx.bundle.layout import Layout, Tensor, layout_order, part_name
from alx.bundle.manifest import Candidate, Party, Version3
from alx.errors import CorruptError
from alx.report.page import html
from alx.report.page.content import MAX_TEXT, Plot, Point, Report, Series
from alx.report.page.drawing import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, drawing
from alx.site import events
from tests.report.markup import asked, elements

CLUSTERS = ["metadata", "system", "models", "data", "indicators", "infrastructure", "security"]
HOSTILE = [
    "<script>fetch('https://example.org')</script>",
    "</script></style></title></svg></td></table><img src=x onerror=alert(1)>",
    '"><a href=\'javascript:alert(1)\' style="background:url(//example.org/x)">',
    "' onmouseover='alert(1)' x='",
    "{{ 7 * 7 }}{% raw %}{# #}",
    "&lt;b&gt;&#60;i&#62;<!--<![CDATA[",
    "\0\x01\x1b[31m\x7f\u0085",
    "\u202emoc.elpmaxe\u202c\u2066\u200f\u00ad\ufeff",
    "\ud800 lone",
    "x" * 300,
    "javascript:alert(1)",
    "\u2028\u2029\r\n\t",
]


def report_of(alx, *words):
    done = alx("report", *words, "--json")
    assert done.code == 0, done.err
    return Report.model_validate_json(done.out, strict=False)


def page_of(alx, path, *words):
    assert alx("report", *words, "-o", path).code in (0, 12)
    return path.read_bytes()


@pytest.fixture
def report(stage, alx):
    """Of a site that finished, and that refused something."""
    world = stage("closed")
    error = CorruptError("a file differs", "ask for it again")
    events.refused(world.folder("learner") / "events.sqlite", "import-and-select", "a bundle", error)
    return report_of(alx, world.folder("learner"))


def replaced(value, text, key=""):
    """The same record with another text wherever one can stand: words by which it is ordered stay."""
    fixed = {"format", "version", "subject", "kind", "key", "standing", "style", "at", "written"}
    if isinstance(value, dict):
        return {k: replaced(v, text, k) for k, v in value.items()}
    if isinstance(value, list):
        return [replaced(v, text, key) for v in value]
    return text if isinstance(value, str) and key not in fixed else value


def shape(page):
    """Elements, and the names of their attributes, in order; where one's class depends on a text's length it is left out."""
    return [(e.tag, sorted(set(e.attributes) - {"class"})) for e in elements(page)]


def test_no_element_asks_for_anything(report, stage, alx, tmp_path):
    world = stage("finished")
    bundle = page_of(alx, tmp_path / "b.html", world.bundle("provider"), "--key", world.folder("provider") / "public.pem")
    for page in (html.page(report), bundle):
        assert list(asked(page)) == []
        (policy,) = [e for e in elements(page) if e.attributes.get("http-equiv") == "Content-Security-Policy"]
        told = policy.attributes["content"]
        assert told.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        assert "script" not in told


def test_what_asks_for_something_would_be_found():
    for bad in ("<img src=x>", "<a href='http://x'></a>", "<p onclick='x'></p>", "<style>p{background:url(x)}</style>"):
        assert list(asked(f"<!DOCTYPE html><html><body>{bad}</body></html>".encode()))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_markup_in_every_field_is_text_on_the_page(report, text):
    honest = html.page(Report.model_validate(replaced(report.model_dump(), "honest")))
    page = html.page(Report.model_validate(replaced(report.model_dump(), text)))
    assert shape(page) == shape(honest)
    assert list(asked(page)) == []
    for e in elements(page):
        assert not any("example.org" in str(v) or "alert" in str(v) for v in e.attributes.values())
    decoded = page.decode("utf-8")
    assert all(c.isprintable() or c == "\n" for c in decoded)


def test_every_text_of_the_record_is_printable_and_of_a_length():
    series = Series(name="\u202e" + "x" * 100_000, style="dots", points=[])
    assert series.name == "\\u202e" + "x" * (MAX_TEXT - 1) + "…"


def forged(folder, names, key):
    """A bundle of three tensors of any names, well signed."""
    tensors = layout_order([Tensor(name=n, dtype="F32", shape=[2]) for n in names])
    layout, digest = Layout(tuple(tensors)), "0" * 64
    bundle = folder / "alx-00000000-r001-learner"
    states = [bytes([i]) * layout.nbytes for i in (0, 1)]
    data, candidates = [], []
    for i, made in enumerate(write.candidates(bundle, states, layout)):
        data += made.files
        candidates.append(Candidate(step=i, loss=1.0, state=made.state, keyframe=made.keyframe, files=[part_name(i, 0)]))
    fingerprint = PublicKey(key.public_key()).fingerprint
    said = Version3(
        format="alx-bundle",
        version=3,
        sender=Party(role="learner", key=fingerprint),
        receiver=Party(role="provider", key=digest),
        plan=digest,
        round=1,
        sequence=1,
        previous=None,
        answers=None,
        start=None,
        samples=1,
        tensors=tensors,
        candidates=candidates,
        averaged=[],
        frozen=None,
    )
    write.seal(bundle, said, data, key)
    return bundle


def test_a_bundle_that_is_made_to_break_the_page_does_not(alx, tmp_path):
    """Its tensors have markup for names, as far as a manifest takes them, and so has the folder that it lies in."""
    key = keys.generate()
    (tmp_path / "key.pem").write_text(PublicKey(key.public_key()).pem)
    spaceless = [re.sub(r"[\x00-\x20\x7f-\xa0\u2028-\u202e\u2066\u200f\u00ad\ufeff\ud800]", "", t)[:250] for t in HOSTILE]
    pages = []
    for name, names in (("honest", ["a", "b", "c"]), ("hostile", spaceless[:3])):
        folder = tmp_path / name
        folder.mkdir()
        bundle = forged(folder, names, key)
        if name == "hostile":
            bundle = bundle.rename(folder / "<img src=x onerror=alert(1)>")
            assert alx("report", bundle, "--key", tmp_path / "key.pem", "--json").code in (0, 13)
        pages.append(page_of(alx, tmp_path / f"{name}.html", bundle, "--key", tmp_path / "key.pem"))
    assert shape(pages[1]) == shape(pages[0])
    assert spaceless[1].encode() not in pages[1]
    assert any(spaceless[1] == e.text for e in elements(pages[1]))


def test_a_refusal_with_markup_in_it_is_text(stage, alx, tmp_path):
    world = stage("sent")
    pages = []
    for about, message in (("a bundle", "honest"), (HOSTILE[1], HOSTILE[2])):
        site = tmp_path / f"site{len(pages)}"
        shutil.copytree(world.folder("provider"), site)
        events.refused(site / "events.sqlite", "import-and-select", about, CorruptError(message))
        pages.append(page_of(alx, tmp_path / f"{len(pages)}.html", site))
    assert shape(pages[1]) == shape(pages[0])
    assert any(HOSTILE[2] in e.text for e in elements(pages[1]) if e.tag == "li")


def test_the_page_has_the_seven_clusters_in_their_order_and_every_link_leads_there(report):
    found = elements(html.page(report))
    ids = [e.attributes["id"] for e in found if "id" in e.attributes]
    assert len(set(ids)) == len(ids)
    assert [i for i in ids if i in CLUSTERS] == CLUSTERS
    links = [e.attributes["href"] for e in found if e.tag == "a"]
    assert {f"#{c}" for c in CLUSTERS} <= set(links)
    assert {link[1:] for link in links} <= set(ids)
    assert [c.key for c in report.clusters] == CLUSTERS


def test_the_page_can_be_read_aloud(report):
    found = elements(html.page(report))
    assert found[0].tag == "html"
    assert found[0].attributes["lang"] == "en"
    assert next(e.text for e in found if e.tag == "title") == f"alx report: {report.title}"
    levels = [int(e.tag[1]) for e in found if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert all(e.attributes.get("scope") in ("col", "row") for e in found if e.tag == "th")
    tables, ids = [e for e in found if e.tag == "table"], {e.attributes.get("id") for e in found}
    assert all(e.inner[0].tag == "caption" for e in tables)
    drawings = [e for e in found if e.tag == "svg"]
    assert len(drawings) == 3
    for e in drawings:
        assert e.attributes["role"] == "img"
        assert set(e.attributes["aria-labelledby"].split()) <= ids
        assert [i.tag for i in e.inner[:2]] == ["title", "desc"]
        assert all(i.text for i in e.inner[:2])
    sections = [e for e in found if e.tag == "section"]
    assert all(e.attributes["aria-labelledby"] in ids for e in sections)


def luminance(colour):
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_of_a_text_stands_out_by_day_and_by_night(report):
    (style,) = [e.text for e in elements(html.page(report)) if e.tag == "style"]
    themes = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{([^}]*)\}", style)[:2]]
    for theme in themes:
        assert len(theme) == 9
        for name in ("ink", "soft", "blue", "orange", "red", "green"):
            for paper in ("paper", "wash"):
                high, low = sorted((luminance(theme[name]), luminance(theme[paper])), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 4.5, (name, paper)


def test_values_and_how_far_they_can_be_relied_on_stand_side_by_side(report):
    """What is not known says so, and nothing that has a value does."""
    found = elements(html.page(report))
    unknown = sum(e.attributes.get("class") == "unknown" for e in found)
    each = [e for c in report.clusters for p in c.parts for e in p.elements]
    assert unknown == sum(e.value is None for e in each) > 5
    assert all((e.value is None) == (e.standing == "unknown") for e in each)


def test_rows_that_are_left_out_are_counted(report):
    values = report.model_dump()
    table = values["clusters"][-1]["parts"][-1]["tables"][0]
    table["rows"], table["left_out"] = table["rows"][:2], 1234
    page = html.page(Report.model_validate(values))
    assert "And 1,234 more rows, which are not listed here." in [e.text for e in elements(page) if e.tag == "p"]


def plot(values, *, log=False, style="dots"):
    points = [Point(x=i, y=v) for i, v in enumerate(values)]
    ticks = [str(i) for i in range(len(values))]
    series = [Series(name="n", style=style, points=points)]
    return Plot(title="t", words="w", x_label="x", y_label="y", ticks=ticks, log=log, series=series)


def test_points_stand_where_their_numbers_say():
    made = drawing(plot([0.0, 5.0, 10.0]))
    assert [t.word for t in made.y_ticks] == ["0", "5", "10"]
    height = HEIGHT - TOP - BOTTOM
    assert [m.y for m in made.series[0].marks] == [HEIGHT - BOTTOM, HEIGHT - BOTTOM - height / 2, TOP]
    room = (WIDTH - LEFT - 16) / 3
    assert [m.x for m in made.series[0].marks] == pytest.approx([LEFT + room * f for f in (0.5, 1.5, 2.5)], abs=0.06)


def test_an_axis_of_powers_of_ten_has_them_evenly():
    made = drawing(plot([0.01, 1.0, 100.0, 10_000.0], log=True))
    ys = [m.y for m in made.series[0].marks]
    assert [a - b for a, b in itertools.pairwise(ys)] == pytest.approx([(HEIGHT - TOP - BOTTOM) / 3] * 3, abs=0.11)
    assert [t.word for t in made.y_ticks] == ["0.01", "0.1", "1", "10", "100", "1000", "10000"]


@pytest.mark.parametrize(
    "values",
    [[0.0], [7.0], [-3.0], [1e300, 1e-300], [1e-12, 2e-12], [-1e300, 1e300], [123456789.0, 123456790.0], [5.0] * 3],
    ids=str,
)
def test_any_finite_numbers_can_be_drawn(values):
    for log in {False, min(values) > 0}:
        made = drawing(plot(values, log=log))
        for mark in made.series[0].marks:
            assert math.isfinite(mark.y)
            assert TOP - 0.1 <= mark.y <= HEIGHT - BOTTOM + 0.1


def test_the_json_holds_what_the_page_holds(report):
    again = TypeAdapter(Report).validate_json(json.dumps(report.model_dump()))
    assert html.page(again) == html.page(report)
