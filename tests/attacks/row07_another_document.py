"""Another document than was expected."""

from alx.errors import MalformedError

FAULT = 7
ERROR = MalformedError
EXIT = 13
WORDS = ("field required",)
DOCUMENT = b'{"a": 1}'
