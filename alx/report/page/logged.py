"""An event of the security log as a page tells it, which may be read by more people than the log.

Knows records and where the site lies; knows no page.
"""

import re
from pathlib import Path

from alx.report import audit as words
from alx.site.entries import Event, Refused

_PATH = re.compile(r"'(/[^']*)'")


def event(record: Event, folder: Path | None, *, by_reset: bool = False) -> str:
    """What an event says; of a refusal about the site's own data, paths or settings only that there was one."""
    if isinstance(record, Refused) and record.own:  # a cell of a table, say, or where it lies
        where = "about this site's own data, paths or settings; its words are in the site's event log alone"
        return f"{record.command}, {record.error} ({record.exit_code}): {where}"
    return local(words.event(record, by_reset=by_reset), folder)


def local(text: str, folder: Path | None) -> str:
    """A text whose paths are told from the site's folder on; of any other place the last name alone.

    Args:
        text: a refusal's message, say.
        folder: the site's.
    """
    known = [] if folder is None else [each for each in (folder, folder.resolve()) if each.is_absolute()]

    def short(found: re.Match[str]) -> str:
        path = Path(found[1])
        inner = next((path.relative_to(each).as_posix() for each in known if path.is_relative_to(each)), None)
        return f"'…/{path.name}'" if inner is None else f"'{path.name if inner == '.' else inner}'"

    text = _PATH.sub(short, text)
    for each in known:  # in a command to type, say
        text = text.replace(str(each), each.name)
    return text
