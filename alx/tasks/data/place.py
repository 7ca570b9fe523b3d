"""Where a site's data lie: that there is a file, or a folder, where one is named. Knows paths; knows no format."""

from pathlib import Path

from alx.errors import ConfigError, escape

_HINT = "look at [data] in site.toml"


def file(path: Path) -> Path:
    """The path of a file.

    Raises:
        ConfigError: it is none.
    """
    if path.is_dir():
        raise ConfigError(f"'{escape(str(path), 200)}' is a folder, expected a file", _HINT)
    return _there(path, there=path.is_file())


def folder(path: Path) -> Path:
    """The path of a folder.

    Raises:
        ConfigError: it is none.
    """
    if path.is_file():
        raise ConfigError(f"'{escape(str(path), 200)}' is a file, expected a folder", _HINT)
    return _there(path, there=path.is_dir())


def _there(path: Path, *, there: bool) -> Path:
    if not there:
        raise ConfigError(f"there is no data at '{escape(str(path), 200)}'", _HINT)
    return path
