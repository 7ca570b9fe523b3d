"""Forty levels, within the number of values that a signature file may have."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("nested too deeply",)
WHERE = ("signature",)
DOCUMENT = b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}"
