"""A list where an object has to be."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("expected a table",)
DOCUMENT = b"[]"
