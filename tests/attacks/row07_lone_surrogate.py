"""A lone surrogate."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("unable to parse",)
DOCUMENT = b'{"\\ud800": 1}'
