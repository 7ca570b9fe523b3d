"""A hundred thousand levels."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("nested too deeply",)
WHERE = ("statement", "manifest")
DOCUMENT = b"[" * 100_000 + b"]" * 100_000
