"""A list where an object has to be."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("valid dictionary",)
DOCUMENT = b"[]"
