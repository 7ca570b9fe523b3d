"""Where a passphrase comes from: a prompt at a terminal, or a file descriptor; never an argument or the environment.

Knows people and descriptors; knows no key.
"""

import os
from collections.abc import Callable
from typing import Any

import click

from alx.bundle.keys import MAX_PASSPHRASE_BYTES, Unlock
from alx.cli import screen
from alx.errors import UsageError


def option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--passphrase-fd: where the private key's passphrase is read from, if it has one."""
    return click.option(
        "--passphrase-fd",
        "unlock",
        type=click.IntRange(min=0),
        metavar="N",
        callback=_unlock,
        help="Read the private key's passphrase, one line, from this file descriptor; default: ask at the terminal.",
    )(command)


def _unlock(context: click.Context, parameter: click.Parameter, value: int | None) -> Unlock:
    del context, parameter
    return lambda: _ask("passphrase of the private key") if value is None else read(value)


def _ask(what: str, *, twice: bool = False) -> bytes:
    if not screen.interactive():
        raise UsageError(
            "the private key has a passphrase, and there is no terminal to ask for it at",
            "give it with --passphrase-fd N: exec 3<FILE; alx … --passphrase-fd 3",
        )
    return _checked(screen.hidden(what, twice=twice).encode("utf-8", "surrogateescape"))


def choose(descriptor: int | None) -> bytes:
    """A new passphrase: one line from a descriptor, or asked for twice at the terminal.

    Raises:
        UsageError: no terminal and no descriptor; empty or too long.
    """
    return _ask("new passphrase", twice=True) if descriptor is None else read(descriptor)


def read(descriptor: int) -> bytes:
    """One line from a descriptor, without its end; what follows is left there for the next.

    Raises:
        UsageError: the descriptor is not open; the line is empty or too long.
    """
    line = b""
    while len(line) <= MAX_PASSPHRASE_BYTES + 1:
        try:
            byte = os.read(descriptor, 1)
        except OSError as error:
            raise UsageError(
                f"cannot read a passphrase from file descriptor {descriptor}: {error.strerror}", "exec 3<FILE opens 3"
            ) from error
        if byte in (b"", b"\n"):
            break
        line += byte
    return _checked(line.removesuffix(b"\r"))


def _checked(passphrase: bytes) -> bytes:
    if not passphrase:
        raise UsageError("the passphrase is empty")
    if len(passphrase) > MAX_PASSPHRASE_BYTES:
        raise UsageError(f"the passphrase has more than {MAX_PASSPHRASE_BYTES} bytes")
    return passphrase
