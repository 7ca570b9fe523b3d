"""A browser without a network shows the page: it asks for nothing, and it reads on a screen, on a phone and on paper."""

import io
import re
import zlib

import pytest
from PIL import Image

from alx.errors import CorruptError
from alx.site import events
from tests import browser

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium on this machine (Debian: apt install chromium)")
WIDE = 375  # CSS pixels of a phone


def test_chromium_shows_the_page_without_asking_for_anything(stage, alx, tmp_path):
    """One browser for all, as it takes a second to start."""
    path = tmp_path / "report.html"
    site = stage("finished").folder("learner")
    events.refused(
        site / "events.sqlite", "import-and-select", "x" * 80, CorruptError("no place to break a line: " + "x" * 900)
    )
    assert alx("report", site, "-o", path).code == 0
    with browser.page() as page:
        page.load(path, width=1200)
        assert page.asked == [path.as_uri()]
        assert page.value("document.querySelectorAll('script, link, img, iframe').length") == 0
        assert page.value("getComputedStyle(document.body).maxWidth") == "992px"  # the policy lets its own style in
        assert shown(page.picture(whole=False))
        page.load(path, width=1000, dark=True)
        assert brightness(page.picture(whole=False)) < 80
        page.load(path, width=WIDE, height=800, phone=True)
        assert page.asked == [path.as_uri()]
        assert page.value("document.documentElement.scrollWidth") == WIDE
        seen = "[...document.querySelectorAll('body *')].filter(e => !e.closest('thead'))"  # which is for whoever listens
        assert page.value(f"Math.max(...{seen}.map(e => e.getBoundingClientRect().right))") <= WIDE
        assert page.value("[...document.querySelectorAll('td .label')].every(e => e.offsetWidth > 0)")
        assert shown(page.picture(whole=False))
        pages, letters = text_of(page.paper())
    assert 4 <= pages <= 40
    assert min(letters) > 100, letters


def test_chromium_would_tell_of_a_page_that_asks(tmp_path):
    path = tmp_path / "bad.html"
    path.write_text("<!DOCTYPE html><title>x</title><img src='https://example.org/x.png'>")
    with browser.page() as page:
        page.load(path, width=600)
        assert page.asked == [path.as_uri(), "https://example.org/x.png"]


def brightness(picture):
    """Of its dots, from 0 to 255."""
    grey = Image.open(io.BytesIO(picture)).convert("L")
    return sum(i * n for i, n in enumerate(grey.histogram())) / (grey.width * grey.height)


def shown(picture):
    """Whether something stands there: dark dots on a light page, some and not all."""
    grey = Image.open(io.BytesIO(picture)).convert("L")
    dark = sum(grey.histogram()[:128]) / (grey.width * grey.height)
    return 0.01 < dark < 0.3 and brightness(picture) > 200


def text_of(pdf):
    """Number of pages, and of letters on each: four hexadecimal digits a letter, as Chromium writes them."""
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    letters = []
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            content = zlib.decompress(packed)
        except zlib.error:
            continue
        told = re.findall(rb"<([0-9A-Fa-f]+)>(?= ?Tj|[^<>]*\]\s*TJ)|<([0-9A-Fa-f]+)>", content) if b" Tf" in content else []
        if told:
            letters.append(sum(len(a or b) // 4 for a, b in told))
    return pages, letters
