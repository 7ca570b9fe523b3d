"""How long work says how far it is. Knows words and numbers."""

from typing import Protocol


class Tell(Protocol):
    """Called as work goes on."""

    def __call__(
        self, what: str, done: int, total: int, loss: float | None = None, validation: float | None = None, /
    ) -> None:
        """What is done, how much of it, how much in all; a training loss and the last validation loss, where there are."""


def silent(_what: str, _done: int, _total: int, _loss: float | None = None, _validation: float | None = None, /) -> None:
    """For those who do not look."""
