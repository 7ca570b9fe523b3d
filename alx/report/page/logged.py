"""An event of the security log as a page tells it, which may be read by more people than the log.

Knows records and where the site lies; knows no page.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from alx.bundle.layout import DATA_FOLDER
from alx.report import audit as words
from alx.site.entries import BackedUp, Event, Refused

# Quoted, with a slash in it, and no file of a bundle's; an apostrophe that a letter follows, or more of a path in the same
# part of the sentence, is its own. A quote opens where a word could begin; after anything else it closes.
_OPENS = r"(?<![^\s(\[{=])'(?=\S)"
_PATH = re.compile(rf"{_OPENS}(?!{DATA_FOLDER}/[^'/]*')((?:[^'/]|'(?=\w))*/(?:[^']|'(?=\w|[^':;,(]*/))*)'(?!\w)")


def event(record: Event, folder: Path | None, *, by_reset: bool = False) -> str:
    """What an event says; of a refusal about the site's own data, paths or settings only that there was one."""
    if isinstance(record, Refused) and record.own:  # a cell of a table, say, or where it lies
        where = "about this site's own data, paths or settings; its words are in the site's event log alone"
        return f"{record.command}, {record.error} ({record.exit_code}): {where}"
    if isinstance(record, Refused):  # as a field, which is a path whole, whatever is in it
        record = record._replace(about=_short(record.about, _known(folder)))
    if isinstance(record, BackedUp):
        record = record._replace(folder=_short(record.folder, _known(folder)))
    return local(words.event(record, by_reset=by_reset), folder)


def local(text: str, folder: Path | None) -> str:
    """A text whose paths are told from the site's folder on; of any other place the last name alone.

    Args:
        text: a refusal's message, say.
        folder: the site's.
    """
    known = _known(folder)
    text = _PATH.sub(lambda found: f"'{_short(found[1], known)}'", text)
    for each in known:  # in a command to type, say
        text = text.replace(str(each), each.name)
    return text


def _known(folder: Path | None) -> list[Path]:
    return [] if folder is None else [each for each in (folder, folder.resolve()) if each.is_absolute()]


def _short(text: str, known: Sequence[Path]) -> str:
    """A path as a page tells it; a name alone stays."""
    if "/" not in text:
        return text
    path = Path(text)
    inner = next((path.relative_to(each).as_posix() for each in known if path.is_relative_to(each)), None)
    if inner is None or ".." in path.parts:
        return f"…/{path.name}"
    return path.name if inner == "." else inner
