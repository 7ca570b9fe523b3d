"""What a cell says: a number, a day, or that nothing is known. One text means one thing, or is refused.

Knows the marks of numbers and dates; knows no file, no plan and no torch.
"""

import datetime as dt
import math
import re
from collections.abc import Collection

from alx.dialect import DAY, Dialect
from alx.errors import ConfigError, escape

MISSING = ("", "na", "n/a", "nan", "null")  # in lower case; in a column of categories a declared value goes first
LARGEST = (2 - 2**-23) * 2.0**127  # of float32, which an input is
DAY_SECONDS = 86_400
_ODD = ",' \u2019\u00a0\u202f"  # what people put into numbers
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)  # thousands in Berlin, thousandths in Boston


class Numbers:
    """How numbers are written.

    Args:
        dialect: the site's account.
        delimiter: between cells; where it is no comma, the decimal mark may be one, so that 1.234 is in doubt.
    """

    def __init__(self, dialect: Dialect, delimiter: str) -> None:
        self.doubtful = dialect.decimal is None and dialect.thousands is None and delimiter != ","
        self.decimal = dialect.decimal or "."
        self.thousands = dialect.thousands
        if self.thousands is not None:
            mark, point = re.escape(self.thousands), re.escape(self.decimal)
            self._grouped = re.compile(rf"[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?", re.ASCII)

    def read(self, text: str, where: str, column: str) -> float:
        """The number, finite in float32.

        Raises:
            ConfigError: it is none, or could be two.
        """
        if self.doubtful and _EITHER.fullmatch(text):
            raise ConfigError(
                f"{where}: '{escape(text)}' in column '{escape(column)}' may be {text} or {text.replace('.', '')}",
                'write into [data.table] of site.toml decimal = "."; or decimal = "," and thousands = "."',
            )
        value = self.value(text)
        if value is None:
            raise ConfigError(f"{where}: '{escape(text)}' in column '{escape(column)}' is no number", self._remedy(text))
        if not abs(value) <= LARGEST:
            raise ConfigError(f"{where}: '{escape(text)}' in column '{escape(column)}' is no finite number")
        return value

    def sure(self, text: str) -> float | None:
        """The number; None where `read` has something to say."""
        value = None if self.doubtful and _EITHER.fullmatch(text) else self.value(text)
        return value if value is not None and -LARGEST <= value <= LARGEST else None

    def value(self, text: str) -> float | None:
        """The number, which may not be finite; or None where it is none."""
        plain = text
        if self.thousands is not None and self.thousands in text:
            if not self._grouped.fullmatch(text):
                return None
            plain = text.replace(self.thousands, "")
        if self.decimal != ".":
            if "." in plain:
                return None
            plain = plain.replace(self.decimal, ".")
        if "_" in plain or not plain.isascii():  # Python reads 1_0 as 10, and the digits of all scripts
            return None
        try:
            return float(plain)
        except ValueError:
            return None

    def _remedy(self, text: str) -> str:
        has = f"decimals have '{self.decimal}', and thousands " + (f"'{self.thousands}'" if self.thousands else "no mark")
        if any(mark in text for mark in (*_ODD, ".")) and any(c.isdigit() for c in text):
            return f"{has}; else write decimal and thousands into [data.table] of site.toml"
        if text.strip().lstrip("+-").isdigit() and not text.isascii():
            return "write it with the digits 0 to 9"
        return "what stands for a missing cell is named by missing or missing_in in [data.table] of site.toml"


def since(text: str, form: str | None, first: dt.date, where: str, column: str) -> float:
    """The days, with a fraction where the format has a time, from midnight of the day `first`.

    Raises:
        ConfigError: it is no date in this format.
    """
    wanted = form or DAY
    try:
        there = dt.datetime.strptime(text.encode("ascii").decode("ascii"), wanted)  # noqa: DTZ007 - no zone; and the digits of all scripts would do
    except ValueError as error:
        raise ConfigError(
            f"{where}: '{escape(text)}' in column '{escape(column)}' is no date as {wanted}",
            f'write how dates stand there into [data.table] of site.toml, as in dates = {{ {escape(column)} = "%d.%m.%Y" }}',
        ) from error
    return (there - dt.datetime.combine(first, dt.time())).total_seconds() / DAY_SECONDS


class Codes:
    """What stands for a missing cell in one column.

    Args:
        dialect: the site's account.
        column: the plan's name of the column.
        kept: the values that mean something there, which go before a code for all columns.
        numbers: how numbers are written, for a column of them: -9 stands for -9.0 too.
    """

    def __init__(self, dialect: Dialect, column: str, kept: Collection[str] = (), numbers: Numbers | None = None) -> None:
        own, common = dialect.missing_in.get(column, []), dialect.missing
        self._own, self._common, self._kept = frozenset(own), frozenset(common), kept
        read = () if numbers is None else (numbers.value(code) for code in (*own, *common))
        self.values = frozenset(v for v in read if v is not None and math.isfinite(v))

    def __call__(self, text: str) -> bool:
        """Whether the cell is missing, as far as its text says."""
        if text in self._own:
            return True
        return text not in self._kept and (text in self._common or text.lower() in MISSING)
