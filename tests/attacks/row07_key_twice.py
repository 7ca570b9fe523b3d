"""A key given twice."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("the key 'a' twice",)
DOCUMENT = b'{"a": 1, "a": 2}'
