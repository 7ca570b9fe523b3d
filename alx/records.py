"""What every record is made of: strict fields, a few kinds of value, and a validation's faults in words.

Knows pydantic; knows no document.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from alx.errors import escape, nearest

MAX_FAULTS = 5  # told of one file; the rest is counted

Role = Literal["learner", "provider"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | int | Finite | str
# ISO 8601 to the second, in UTC, as the event log has it: nothing else fits in, so no sentence travels here
Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00$")]
MAX_PERSON = 100  # characters: a name, and what they are
FROM_LIST = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)  # TOML has no tuples


def person(text: str) -> str:
    """A person's name, as it was typed.

    Raises:
        ValueError: it is empty, too long, has blanks around it, or characters that do not print.
    """
    if not 0 < len(text) <= MAX_PERSON:
        raise ValueError(f"a name has 1 to {MAX_PERSON} characters, and this has {len(text)}")
    if text.strip() != text or not text.isprintable():
        raise ValueError("a name has no blanks around it, and no characters that do not print")
    return text


Person = Annotated[str, Field(min_length=1, max_length=MAX_PERSON), AfterValidator(person)]


def finite(value: float | None) -> float | None:
    """The same number; None where JSON, and so the ledger, has no word for it."""
    return value if value is not None and math.isfinite(value) else None


class Strict(BaseModel):
    """Frozen, no unknown fields, no coercion of text, no number that is not finite; validators are built when first used."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


def explain(error: ValidationError) -> str:
    """Every fault of a validation, in one line for people: `field: what is wrong (got ...)`."""
    told = []
    faults = error.errors(include_url=False)
    choices = _choices(faults)
    for fault in faults:
        loc = fault["loc"]
        choice = next((loc[:i] for i in range(len(loc)) if loc[:i] in choices), None)
        where = ".".join(escape(str(part)) for part in (loc if choice is None else choice)) or "it"
        if choice is not None:
            value, kinds = choices[choice]
            is_ = "a table" if isinstance(value, dict) else escape(repr(value), 60)
            told.append(f"{where}: is {is_}, expected {' or '.join(kinds)}")
            continue
        got = "" if fault["type"] in ("missing", "value_error") else f" (got {escape(repr(fault['input']), 60)})"
        said = _said(fault, error.title)
        at = "" if where == "it" else f"{where}: "
        told.append(f"{at}{escape(said, 160)}{got}{_near(fault, error.title)}")
    distinct = list(dict.fromkeys(told))
    more = f"; and {len(distinct) - MAX_FAULTS} more" if len(distinct) > MAX_FAULTS else ""
    return "; ".join(distinct[:MAX_FAULTS]) + more


def _said(fault: ErrorDetails, record: str) -> str:
    """What is wrong, in our words where we have some; else in pydantic's."""
    if fault["type"] in ("model_type", "dict_type"):
        fields = _fields(record, fault["loc"])
        return "expected a table" + (f" of {', '.join(fields)}" if fields else "")
    if fault["type"] in ("list_type", "tuple_type"):
        return "expected a list"
    said = fault["msg"]
    return said.removeprefix("Value error, ") if fault["type"] == "value_error" else said[:1].lower() + said[1:]


def _near(fault: ErrorDetails, record: str) -> str:
    """Of a word that is none of those expected, or a field that is none of the record's, the ones that look like it."""
    near = ""
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        near = nearest(fault["input"], re.findall(r"'([^']*)'", str(fault.get("ctx", {}).get("expected", ""))))
    elif fault["type"] == "extra_forbidden":
        near = nearest(str(fault["loc"][-1]), _fields(record, fault["loc"][:-1]))
    return near and f", {near}"


def _fields(record: str, loc: Sequence[int | str]) -> list[str]:
    """The fields that are known at a place in a record, as far as it is made of records alone."""
    known = {each.__name__: each for each in _kinds(Strict)}
    there = known.get(record)
    for part in loc:
        field = None if there is None else there.model_fields.get(str(part))
        inner = () if field is None else (field.annotation, *get_args(field.annotation))
        there = next((each for each in inner if isinstance(each, type) and issubclass(each, Strict)), None)
    return [] if there is None else list(there.model_fields)


def _kinds(record: type[Strict]) -> Iterator[type[Strict]]:
    for each in record.__subclasses__():
        yield each
        yield from _kinds(each)


# How people call what a value may be; pydantic tells one fault for each.
_KINDS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "constrained-int": "a number",
    "str": "text",
    "StepsBySide": "a table",
}


def _choices(faults: Sequence[ErrorDetails]) -> dict[tuple[int | str, ...], tuple[object, list[str]]]:
    """The places where one of several kinds of value may stand and none does: the value, and the kinds by name."""
    found: dict[tuple[int | str, ...], tuple[object, list[str]]] = {}
    for fault in faults:
        *place, kind = fault["loc"] or ("",)
        kind = str(kind)
        name = _KINDS.get(kind, "a list" if kind.startswith("list[") else "")
        if kind.startswith("literal["):
            name = kind.removeprefix("literal[").removesuffix("]")
        if name:
            kinds = found.setdefault(tuple(place), (fault["input"], []))[1]
            kinds += [] if name in kinds else [name]
    return {place: told for place, told in found.items() if len(told[1]) > 1}
