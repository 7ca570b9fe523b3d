"""Infinity."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("-Infinity",)
DOCUMENT = b'{"a": -Infinity}'
