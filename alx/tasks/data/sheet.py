"""A CSV as text: its header and rows, and on which line each stands, by the site's account of how it is written.

Knows quotes, delimiters, encodings and lines; knows no plan and no torch. What can be read in two ways is refused.
"""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from alx import decoder
from alx.dialect import DELIMITERS, Dialect
from alx.errors import ConfigError, escape

FORMAT = "a CSV in UTF-8, with commas and a header, or what [data.table] in site.toml, or --table FILE, says: docs/site.md"
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SHOWN = {",": "','", ";": "';'", "\t": "'\\t'", "|": "'|'"}


class Sheet(NamedTuple):
    """A table as text.

    Attributes:
        name: of the file, ready to print.
        delimiter: that was found or told.
        header: the columns' names, renamed as the site says.
        written: the same as they stand in the file.
        first: the line that the header stands on; 0 where the site names the columns.
        lines: the line that each row ends on, from 1.
        rows: each row's cells, spaces around them left off; as many as the header has.
    """

    name: str
    delimiter: str
    header: list[str]
    written: list[str]
    first: int
    lines: list[int]
    rows: list[list[str]]

    def where(self, row: int) -> str:
        """The place of a row, counted from 0, for messages."""
        return f"'{self.name}' line {self.lines[row]}"


class _Lines:
    """The lines of a file that are read, counted; what a comment's mark begins is passed over, but never within a cell.

    Attributes:
        number: of the last line that was read.
        whole: of the last that ended a row.
        fresh: whether the next begins one.
    """

    def __init__(self, file: Iterable[str], dialect: Dialect) -> None:
        self.number = dialect.skip
        self.whole = dialect.skip
        self.fresh = True
        self._file = islice(file, dialect.skip, None)
        self._comment = dialect.comment

    def __iter__(self) -> Iterator[str]:
        comment = self._comment
        for line in self._file:
            self.number += 1
            if comment is not None and self.fresh and line.startswith(comment):
                continue
            self.fresh = False
            yield line


def read(path: Path, dialect: Dialect) -> Sheet:
    """Read the whole file.

    Raises:
        ConfigError: the delimiter is in doubt; a row has another number of cells than the header; bytes are no text in the
            encoding, quotes do not close, or a cell holds NUL: with file and line.
    """
    name = escape(path.name)
    with decoder.reading(f"cannot read '{name}'", _remedy(dialect)):
        with path.open("rb") as raw:
            head = raw.read(4)
        encoding = next((e for mark, e in _MARKS.items() if head.startswith(mark)), dialect.encoding or "utf-8")
        with path.open(newline="", encoding=encoding) as file:
            lines = _Lines(file, dialect)
            try:
                return _sheet(name, lines, dialect)
            except csv.Error as error:
                raise ConfigError(
                    f"cannot read '{name}' after line {lines.whole}: {error}",
                    "a quote that is not closed, or text after one? a quote within quotes is written twice",
                ) from error
            except UnicodeDecodeError as error:
                raise _undecodable(path.read_bytes(), encoding, name, dialect) from error


def _undecodable(data: bytes, encoding: str, name: str, dialect: Dialect) -> ConfigError:
    """The first line that is no text in this encoding, and where on it."""
    told = f"it is no text in {encoding}"
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:  # its place in the whole file: a stream tells that in a block
        before = data[: error.start].decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
        line, begun = before.count("\n") + 1, before.rpartition("\n")[2][-20:]
        where = f"after '{escape(begun)}'" if begun else "first"
        told = (
            f"line {line} is no text in {encoding}: {where} stands {data[error.start : error.end].hex(' ')}, in hexadecimal"
        )
    return ConfigError(f"cannot read '{name}': {told}", _remedy(dialect))


def _remedy(dialect: Dialect) -> str:
    if dialect.encoding is None:
        return f'expected {FORMAT}; for a file of an older program try [data.table] encoding = "cp1252"'
    return "look at [data.table] in site.toml"


def _sheet(name: str, lines: _Lines, dialect: Dialect) -> Sheet:
    stream = iter(lines)
    begun = ""
    for line in stream:
        lines.fresh = not line.strip(" \t\r\n,;|")  # an empty line of a spreadsheet has its delimiters
        if not lines.fresh:
            begun = line
            break
    if not begun:
        raise ConfigError(f"'{name}' is empty", f"expected {FORMAT}")
    delimiter = dialect.delimiter or _found(begun, name, dialect)
    reader = csv.reader(_after(begun, stream), delimiter=delimiter, strict=True)
    first, header = 0, list(dialect.header)
    if not header:
        header = [cell.strip() for cell in next(reader)]
        first = lines.number
        _refuse_nul(header, name, first)
        lines.whole, lines.fresh = first, True
    unknown = [own for own in dialect.rename if own not in header]
    if unknown:
        raise ConfigError(
            f"'{name}' has no column '{escape(unknown[0])}', which [data.table] rename speaks of",
            f"its columns: {escape(', '.join(header), 200)}",
        )
    numbers, rows, width = [], [], len(header)
    for cells in reader:
        if cells:
            if len(cells) != width:
                raise _ragged(name, lines.number, cells, header, delimiter)
            numbers.append(lines.number)
            rows.append([cell.strip() for cell in cells])
            if any("\0" in cell for cell in cells):
                _refuse_nul(cells, name, lines.number)
        lines.whole, lines.fresh = lines.number, True
    return Sheet(name, delimiter, [dialect.rename.get(own, own) for own in header], header, first, numbers, rows)


def _after(begun: str, stream: Iterator[str]) -> Iterator[str]:
    yield begun
    yield from stream


def _found(line: str, name: str, dialect: Dialect) -> str:
    """The delimiter, where one alone parts the first line, or parts it into as many cells as the site names columns."""
    bare = re.sub('"[^"]*"', "", line)
    parted = {mark: bare.count(mark) + 1 for mark in DELIMITERS}
    if dialect.header:
        fitting = [mark for mark, count in parted.items() if count == len(dialect.header)]
    else:
        fitting = [mark for mark, count in parted.items() if count > 1] or [","]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        told = ", ".join(f"{count} by {_SHOWN[mark]}" for mark, count in parted.items())
        raise ConfigError(
            f"the first row of '{name}' has {told}, and [data.table] header names {len(dialect.header)} columns",
            "look at header and skip in site.toml, or write the delimiter there",
        )
    raise ConfigError(
        f"'{name}' may be parted by {' or '.join(_SHOWN[mark] for mark in fitting)}: '{escape(line.strip())}'",
        'write which into [data.table] of site.toml, as in delimiter = ";"; or quote the cells that have the other',
    )


def _ragged(name: str, line: int, cells: list[str], header: list[str], delimiter: str) -> ConfigError:
    return ConfigError(
        f"'{name}' line {line} has {len(cells)} cells, and the header {len(header)}",
        f"a {_SHOWN[delimiter]} too many or too few? text that has one stands in double quotes; lines before the table are "
        "passed over by [data.table] skip or comment in site.toml",
    )


def _refuse_nul(cells: list[str], name: str, line: int) -> None:
    for cell in cells:
        if "\0" in cell:
            raise ConfigError(
                f"'{name}' line {line} has a NUL character in '{escape(cell)}'",
                'no text has one: is it a damaged file, or [data.table] encoding = "utf-16"?',
            )
