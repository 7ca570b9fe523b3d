"""A million strings that do not end."""

from alx.errors import MalformedError

FAULT = 14
ERROR = MalformedError
EXIT = 13
WORDS = ("not JSON",)
BOMB = True
DOCUMENT = b'"' * 999_999 + b"0"
