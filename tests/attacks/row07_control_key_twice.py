"""A key of control characters given twice."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = (r"the key '\x1b[2J' twice",)
DOCUMENT = b'{"\\u001b[2J": 1, "\\u001b[2J": 2}'
