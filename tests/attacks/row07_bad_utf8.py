"""Bytes that are no UTF-8."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("not UTF-8",)
DOCUMENT = b'{"a": "\xff"}'
