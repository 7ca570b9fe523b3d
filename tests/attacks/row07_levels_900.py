"""Nine hundred levels, which Python's own reader still takes."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("nested too deeply",)
WHERE = ("statement", "manifest")
DOCUMENT = b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}"
