"""A table of answers as a CSV that people open in a spreadsheet.

Knows texts and numbers; knows no model.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence

DIGITS = ".9g"  # what tells two float32 apart
# What a spreadsheet takes for a formula, and runs when the file is opened (CWE-1236; OWASP, "CSV injection")
_FORMULA = re.compile(r"^(\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])")
_NUMBER = re.compile(r"^[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?$")  # -12 is a number to a spreadsheet too


def text(columns: Sequence[tuple[str, Sequence[str | int | float]]]) -> tuple[bytes, int]:
    """The file: UTF-8, commas, a line of headings, a line each.

    Args:
        columns: headings and values; all of one length.

    Returns:
        Its bytes; and how many cells begin with an apostrophe now, as a spreadsheet would have run them.
    """
    out, mended = io.StringIO(newline=""), [0]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_safe(name, mended) for name, _ in columns])
    writer.writerows(zip(*(_cells(values, mended) for _, values in columns), strict=True))
    return out.getvalue().encode("utf-8"), mended[0]


def _cells(values: Sequence[str | int | float], mended: list[int]) -> Iterator[str]:
    for value in values:
        yield format(value, DIGITS) if isinstance(value, float) else _safe(str(value), mended)


def _safe(cell: str, mended: list[int]) -> str:
    if not _FORMULA.match(cell) or _NUMBER.match(cell):
        return cell
    mended[0] += 1
    return f"'{cell}"
