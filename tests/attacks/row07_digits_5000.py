"""A number of five thousand digits."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("5000 digits",)
DOCUMENT = b'{"a": ' + b"9" * 5000 + b"}"
