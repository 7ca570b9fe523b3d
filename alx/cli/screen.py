"""What a person sees: errors, progress, tables; and JSON for machines.

Knows words and streams; knows nothing of what they are about.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from alx.errors import AlxError, UsageError

Tell = Callable[[str, int, int, float | None], None]


def fail(error: AlxError) -> None:
    """Print a refusal on stderr: one line, and the remedy on a line of its own."""
    click.echo(f"alx: error: {error.message}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def machine(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    click.echo(json.dumps(value, indent=1, default=str))


def compared() -> bool:
    """Ask a person whether the peer's words were the same; whoever breaks off has not compared them."""
    try:
        return click.confirm("Did the peer read out these very words?", err=True)
    except click.Abort as error:
        if not sys.stdin.isatty():
            raise UsageError(
                "the peer's words have to be compared, and there is no terminal to ask at", "--yes says that they were"
            ) from error
        click.echo(err=True)
        return False


@contextlib.contextmanager
def progress() -> Iterator[Tell]:
    """A bar on stderr with the loss and the time left; silent where stderr is no terminal."""
    if not sys.stderr.isatty():

        def silent(_what: str, _done: int, _total: int, _loss: float | None = None) -> None:
            pass

        yield silent
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        bars = Progress(*columns, console=Console(stderr=True), transient=True)
        shown: dict[str, Any] = {}

        def tell(what: str, done: int, total: int, loss: float | None = None) -> None:
            if not shown:  # not before: it would wipe a prompt off the screen
                stack.enter_context(bars)
            if what not in shown:
                shown[what] = bars.add_task(what, total=total, loss="")
            bars.update(shown[what], completed=done, loss="" if loss is None else f"loss {loss:<9.4g}")

        yield tell


@contextlib.contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """One line on stderr that is written over again and again; silent where stderr is no terminal.

    Yields:
        A function that shows a text in the place of the one before; an empty one makes room for a line of output.
    """

    def show(text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        show("")


def count(number: int, what: str) -> str:
    """`1 refusal`, `2 refusals`."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Columns lined up, numbers to the right.

    Args:
        header: a word a column.
        rows: texts, as many as the header has.
        left: how many columns, from the first, are lined up on the left.
    """
    cells = [list(header), *(list(r) for r in rows)]
    widths = [max(len(r[i]) for r in cells) for i in range(len(header))]
    return "\n".join(
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))).rstrip()
        for r in cells
    )


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")(command)
