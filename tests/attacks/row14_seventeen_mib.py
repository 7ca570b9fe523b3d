"""17 MiB of white space."""

from alx.errors import LimitError

FAULT = 14
ERROR = LimitError
EXIT = 14
WORDS = ("bytes, and may have",)
BOMB = True
WHERE = ("signature",)
DOCUMENT = b" " * (17 << 20)
