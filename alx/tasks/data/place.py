"""Where a site's data lie: that there is a file, or a folder, where one is named. Knows paths; knows no format."""

from pathlib import Path
from typing import Literal

from alx.errors import ConfigError, escape


def checked(path: Path, wanted: Literal["file", "folder"]) -> Path:
    """The path.

    Raises:
        ConfigError: something else is there, or nothing.
    """
    got = "folder" if path.is_dir() else "file" if path.is_file() else None
    if got != wanted:
        name = f"'{escape(str(path), 200)}'"
        told = f"there is no data at {name}" if got is None else f"{name} is a {got}, expected a {wanted}"
        raise ConfigError(told, "look at --data, or at [data] in site.toml")
    return path
