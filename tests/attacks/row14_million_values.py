"""A million values of two bytes each."""

from alx.errors import LimitError

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("values",)
BOMB = True
DOCUMENT = b"[" + b"0," * 1_000_000 + b"0]"
