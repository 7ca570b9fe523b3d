"""NaN."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("NaN",)
DOCUMENT = b'{"a": NaN}'
