"""A million strings, in an object."""

from alx.errors import LimitError

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("values",)
BOMB = True
DOCUMENT = b'{"a": [' + b'"",' * 1_000_000 + b"0]}"
