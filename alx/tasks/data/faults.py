"""Refusals of one file, one a column, told together: whoever mends a table wants to hear of all of it at once.

Knows refusals; knows no file.
"""

import contextlib
from collections.abc import Iterator

from alx.errors import ConfigError, count

TOLD = 5  # columns of one refusal, and remedies: more than one reads are counted


class Faults:
    """What was wrong so far."""

    def __init__(self) -> None:
        self._found: list[ConfigError] = []

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """A refusal within is kept for `refuse`."""
        try:
            yield
        except ConfigError as error:
            self._found.append(error)

    def refuse(self) -> None:
        """Refuse, if anything was wrong.

        Raises:
            ConfigError: says all of it.
        """
        if not self._found:
            return
        if len(self._found) == 1:
            raise self._found[0]
        told = [error.message for error in self._found[:TOLD]]
        if len(self._found) > TOLD:
            told.append(f"and {count(len(self._found) - TOLD, 'more column')}")
        hints = list(dict.fromkeys(error.hint for error in self._found if error.hint))
        raise ConfigError("; ".join(told), "; ".join(hints[:TOLD]))
