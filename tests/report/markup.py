"""A page as its parser sees it: elements in their order, what they ask for, what they say. The standard library's parser."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input", "base", "col", "embed", "source", "track", "wbr", "area"}


@dataclass
class Element:
    """One element: its attributes, and all text within, that of inner elements too."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    inner: list["Element"] = field(default_factory=list)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[Element] = []
        self.all: list[Element] = []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        made = Element(tag, dict(attrs))
        self.all.append(made)
        if self.open:
            self.open[-1].inner.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open[-1].tag == tag, (tag, [e.tag for e in self.open])
        self.open.pop()

    def handle_data(self, data):
        for each in self.open:
            each.text += data


def elements(page: bytes) -> list[Element]:
    """Every element in the order of the page; each that is opened is closed, in its place."""
    parser = _Parser()
    parser.feed(page.decode("utf-8"))
    parser.close()
    assert parser.open == []
    return parser.all


def asked(page: bytes) -> Iterator[str]:
    """Whatever an element would fetch, run or lead to, but a place in the page itself."""
    fetching = {
        "src",
        "srcset",
        "href",
        "xlink:href",
        "data",
        "poster",
        "action",
        "formaction",
        "background",
        "ping",
        "manifest",
    }
    forbidden = {
        "script",
        "iframe",
        "frame",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "img",
        "image",
        "use",
        "audio",
        "video",
    }
    for e in elements(page):
        for name, value in e.attributes.items():
            if (name in fetching and not str(value).startswith("#")) or name.startswith("on") or name == "style":
                yield f"{e.tag} {name}={value}"
        if e.tag in forbidden or (e.tag == "meta" and e.attributes.get("http-equiv", "").lower() == "refresh"):
            yield e.tag
        if e.tag == "style" and ("url(" in e.text or "@import" in e.text or "\\" in e.text or "image-set" in e.text):
            yield "style"
