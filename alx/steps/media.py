"""The media log: which drive was named for an export or an import, when, at which machine, and by whom if that is told.

The fields are those that NIST SP 1334 (September 2025) asks of a log of portable media: system and user, the device's
serial number, date and time. Knows drives and the event log; knows no bundle.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from alx.errors import StorageError, escape
from alx.site import events
from alx.site.entries import Media
from alx.site.state import SiteState
from alx.steps import drive


def note(now: SiteState, use: Literal["export", "import"], about: Iterable[tuple[Path, str]], by: str | None) -> None:
    """Write into the event log which drives a command was given, before it touches them.

    What comes of it is the next event: the bundle, or a refusal. A place that is not there has no drive, and is left to the
    command to refuse.

    Args:
        now: this site, locked by the caller.
        use: the command.
        about: each place that was named, and the bundle's name.
        by: the person, where one was named.

    Raises:
        SpaceError, StorageError: the log cannot be written.
    """
    for path, bundle in about:
        found = None
        with contextlib.suppress(StorageError):
            found = drive.of(path)
        if found is not None:
            made = Media(use, escape(bundle), found.name, found.serial, found.file_system, escape(os.uname().nodename), by)
            events.record(now.site.events_path, made)
