"""What a person sees: errors, progress, tables; and JSON for machines.

Knows words and streams; knows nothing of what they are about. All that alx prints goes through `tell`, so what a peer
wrote cannot steer a terminal, wherever in a sentence it stands.
"""

import contextlib
import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from alx.errors import AlxError, UsageError, escape
from alx.progress import Tell, silent

MAX_LINE = 6000  # characters: MAX_BAD names of files fit in; a peer could bring a megabyte
MAX_STATUS = 79  # of a line that is written over again: a terminal does not go back over a line end


def tell(*lines: str, err: bool = False) -> None:
    """Print lines on stdout, or on stderr, each safe for a terminal and of at most `MAX_LINE` characters.

    A line is what the caller says is one: a line end inside it is escaped like any control character.
    """
    _write("".join(f"{escape(line, MAX_LINE)}\n" for line in lines), err=err)


def _write(text: str, *, err: bool) -> None:
    """Write to a stream. What a command did is done, whether or not somebody can be told: no fault is raised."""
    try:
        click.echo(text, nl=False, err=err)
    except OSError as error:
        stream = sys.stderr if err else sys.stdout
        with contextlib.suppress(OSError, ValueError):  # what is still buffered would fail once more when alx ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        if not err and error.errno != errno.EPIPE:  # whoever closed a pipe has read enough
            tell(f"alx: the output could not be written: {error.strerror}", err=True)


def streams() -> None:
    """Make this process's streams safe to use: any character can be written, and none of them is a file of a site's.

    A standard stream that is closed leaves its number to the next file that is opened, and a library that writes there
    would write into it.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def fail(error: AlxError) -> None:
    """Print a refusal on stderr: one line, and the remedy on a line of its own."""
    tell(f"alx: error: {error.message}", *([f"hint: {error.hint}"] if error.hint else []), err=True)


def machine(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout: in ASCII, whatever is in it; a number that is not finite is null."""
    _write(json.dumps(_finite(value), indent=1, default=str, allow_nan=False) + "\n", err=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def hidden(what: str, *, twice: bool) -> str:
    """Ask for a text at the terminal, which does not show it."""
    return str(click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))


def interactive() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


def agreed(question: str) -> bool:
    """Ask a person yes or no; whoever breaks off has not agreed."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if not interactive():
            raise UsageError("there is no terminal to ask at", "--yes answers") from error
        tell("", err=True)
        return False


def compared() -> bool:
    """Ask a person whether the peer's words were the same; whoever breaks off has not compared them."""
    try:
        return click.confirm("Did the peer read out these very words?", err=True)
    except click.Abort as error:
        if not interactive():
            raise UsageError(
                "the peer's words have to be compared, and there is no terminal to ask at", "--yes says that they were"
            ) from error
        tell("", err=True)
        return False


def let_in() -> bool:
    """Ask a person whether values of the data may stand in a plan.

    Raises:
        UsageError: there is no one to ask.
    """
    try:
        return click.confirm("May the values shown above stand in the plan, which the other side reads?", err=True)
    except click.Abort as error:
        raise UsageError(
            "values of the data would stand in the plan, and there is no one to ask", "--values says that they may"
        ) from error


@contextlib.contextmanager
def progress() -> Iterator[Tell]:
    """A bar on stderr with the losses and the time left; silent where stderr is no terminal."""
    if not _watched():
        yield silent
        return
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with contextlib.ExitStack() as stack:
        bars = Progress(*columns, console=Console(stderr=True), transient=True)
        shown: dict[str, Any] = {}

        def tell(what: str, done: int, total: int, loss: float | None = None, validation: float | None = None, /) -> None:
            if not shown:  # not before: it would wipe a prompt off the screen
                stack.enter_context(bars)
            if what not in shown:
                shown[what] = bars.add_task(what, total=total, loss="")
            losses = (("loss", loss), ("validation", validation))
            told = " ".join(f"{name} {value:<9.4g}" for name, value in losses if value is not None)
            bars.update(shown[what], completed=done, loss=told)

        yield tell


@contextlib.contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """One line on stderr that is written over again and again; silent where stderr is no terminal.

    Yields:
        A function that shows a text in the place of the one before; an empty one makes room for a line of output.
    """

    def show(text: str) -> None:
        if _watched():
            _write(f"\r\x1b[K{escape(text, MAX_STATUS)}", err=True)

    try:
        yield show
    finally:
        show("")


def _watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")(command)
