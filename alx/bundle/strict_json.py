"""JSON from outside, read strictly: bytes in, plain values out, or `MalformedError`.

Knows JSON; knows no format. Python's own reader keeps the last of two equal keys, takes NaN, and recurses as deep as
the text says: each is a way to show two readers two different documents, or to crash one.
"""

import json
import re
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from alx.errors import LimitError, MalformedError, escape
from alx.records import explain

MAX_DIGITS = 400  # the longest finite float in plain notation has 309 digits
LARGEST = 1 << 63
MAX_DEPTH = 32  # our deepest document has 7 levels; a report on a fault recurses as deep as the value
# A value of three bytes becomes an object of some hundred, and a fault report of a thousand: bytes are no bound on memory.
# The statement over MAX_FILES files, the largest document, has 250,000.
MAX_VALUES = 400_000
MAX_FAULTS = 20  # told one by one; a document of another kind has as many faults as values
ODD = "is not written in its one form: it could hold something between its fields"
# Without a closing quote it matches to the end, so that no text makes the search start over and over.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
# A number with a plus in its exponent, on a line of its own or after a key: releases of pydantic differ in it.
_PLUS = re.compile(rb'^( *(?:"(?:[^"\\]|\\.)*": )?-?[0-9.]+)e\+([0-9]+,?)$', re.MULTILINE)
_BRACKET = re.compile(rb"[\[\]{}]")
_Model = TypeVar("_Model", bound=BaseModel)


def parse(data: bytes, what: str, limit: int, values: int = MAX_VALUES) -> object:
    """Read one JSON document.

    Args:
        data: UTF-8 without a byte order mark.
        what: the document's name, for messages.
        limit: bytes it may have.
        values: values it may have, nested ones counted; looked at before any is made.

    Raises:
        LimitError: larger than `limit`, or more values than `values`.
        MalformedError: not JSON, a key given twice, NaN or Infinity, a number of absurd length, nested too deeply.
    """
    if len(data) > limit:
        raise LimitError(f"{what} has {limit + 1} or more bytes, and may have {limit}")
    _check_shape(data, what, values)

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        out = dict(items)
        if len(out) != len(items):
            seen: set[str] = set()
            twice = next(k for k, _ in items if k in seen or seen.add(k))  # type: ignore[func-returns-value]
            raise MalformedError(f"{what} gives the key '{escape(twice)}' twice")
        return out

    def no_constant(name: str) -> NoReturn:
        raise MalformedError(f"{what} holds {name}, which is not JSON")

    def number(text: str) -> float:
        if len(text) > MAX_DIGITS:
            raise MalformedError(f"{what} holds a number of {len(text)} digits")
        whole = int(text)
        return whole if abs(whole) < LARGEST else float(text)  # no size or count is as large, and a loss may be

    try:
        text = data.decode("utf-8")
        return json.loads(text, object_pairs_hook=pairs, parse_constant=no_constant, parse_int=number)
    except UnicodeDecodeError as error:
        raise MalformedError(f"{what} is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise MalformedError(f"{what} is not JSON: {escape(str(error))}") from error


def _check_shape(data: bytes, what: str, values: int) -> None:
    bare = _STRING.sub(b"", data)
    count = 1 + bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if count > values:
        raise LimitError(f"{what} has about {count} values, and may have {values}")
    depth = 0
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > MAX_DEPTH:
            raise MalformedError(f"{what} is nested too deeply")


def validate(model: type[_Model], value: object, what: str, hint: str = "") -> _Model:
    """What was parsed, as a record.

    Args:
        model: the record's class.
        value: from `parse`.
        what: the document and what it should be, for the message: "x is no y".
        hint: the remedy, if there is one.

    Raises:
        MalformedError: says which field is wrong.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        count = error.error_count()
        told = explain(error) if count <= MAX_FAULTS else f"{count} fields are missing, unknown or wrong"
        raise MalformedError(f"{what}: {told}", hint) from error


def text(record: BaseModel) -> bytes:
    """The one form of a record: fields in their order, one item a line, indented by one space, numbers as short as they go.

    A float has the fewest digits that read back as it: plain from 1e-5 up to 1e16, with a digit after the point; else as
    1e16 or 1.5e-7. docs/format.md says it all.
    """
    return _PLUS.sub(rb"\1e\2", record.model_dump_json(indent=1, by_alias=True).encode("utf-8"))


def require_form(data: bytes, record: BaseModel, what: str) -> None:
    """Refuse a record in any other form: blanks, digits without a meaning and the order of fields could hold anything.

    Args:
        data: what was read.
        record: what was found in it.
        what: the document, for the message.

    Raises:
        MalformedError: it is not written in its one form.
    """
    if data != text(record):
        raise MalformedError(f"{what} {ODD}")
