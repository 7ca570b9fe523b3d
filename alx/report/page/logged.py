"""An event of the security log as a page tells it, which may be read by more people than the log.

Knows records; knows no page.
"""

from alx.report import audit as words
from alx.site.entries import Event, Refused

# What these say is of the site's own data, paths and settings: a cell of a table, say, or where it lies.
OWN = {"UsageError", "ConfigError", "DivergedError", "SpaceError", "StorageError"}


def event(record: Event, *, by_reset: bool = False) -> str:
    """What an event says; of a refusal about the site's own data, paths or settings only that there was one."""
    if isinstance(record, Refused) and record.error in OWN:
        own = "about this site's own data, paths or settings; its words are in the site's event log alone"
        return f"{record.command}, {record.error} ({record.exit_code}): {own}"
    return words.event(record, by_reset=by_reset)
