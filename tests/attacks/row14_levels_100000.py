"""A hundred thousand levels where 64 values may be."""

from alx.errors import LimitError

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("values",)
BOMB = True
WHERE = ("signature",)
DOCUMENT = b"[" * 100_000 + b"]" * 100_000
