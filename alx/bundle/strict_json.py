"""JSON from outside, read strictly: bytes in, plain values out, or `MalformedError`.

Knows JSON; knows no format. Python's own reader keeps the last of two equal keys, takes NaN, and recurses as deep as
the text says: each is a way to show two readers two different documents, or to crash one.
"""

import json
from typing import NoReturn

from alx.errors import LimitError, MalformedError, escape

MAX_DIGITS = 400  # the longest finite float in plain notation has 309 digits


def parse(data: bytes, what: str, limit: int) -> object:
    """Read one JSON document.

    Args:
        data: UTF-8 without a byte order mark.
        what: the document's name, for messages.
        limit: bytes it may have.

    Raises:
        LimitError: larger than `limit`.
        MalformedError: not JSON, a key given twice, NaN or Infinity, a number of absurd length, nested too deeply.
    """
    if len(data) > limit:
        raise LimitError(f"{what} has {len(data)} bytes, and may have {limit}")

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        out = dict(items)
        if len(out) != len(items):
            seen: set[str] = set()
            twice = next(k for k, _ in items if k in seen or seen.add(k))  # type: ignore[func-returns-value]
            raise MalformedError(f"{what} gives the key '{escape(twice)}' twice")
        return out

    def no_constant(name: str) -> NoReturn:
        raise MalformedError(f"{what} holds {name}, which is not JSON")

    def integer(text: str) -> int:
        if len(text) > MAX_DIGITS:
            raise MalformedError(f"{what} holds a number of {len(text)} digits")
        return int(text)

    try:
        text = data.decode("utf-8")
        return json.loads(text, object_pairs_hook=pairs, parse_constant=no_constant, parse_int=integer)
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what} is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise MalformedError(f"{what} is not JSON: {escape(str(error))}") from error
    except RecursionError as error:  # the interpreter's own guard; our deepest document has 7 levels
        raise MalformedError(f"{what} is nested too deeply") from error
