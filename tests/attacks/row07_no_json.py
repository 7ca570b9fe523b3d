"""Prose where JSON has to be."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("not JSON",)
DOCUMENT = b"once upon a time"
