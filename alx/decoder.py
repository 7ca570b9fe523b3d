"""What a decoder raises on a site's own file, reported with the file's name.

Knows no format. NumPy, zipfile, Pillow, torchvision and SciPy raise what they like on a damaged file: struct.error,
LZMAError, TokenError, AssertionError, MemoryError, and another one with the next version.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from alx.errors import AlxError, ConfigError, escape


@contextmanager
def reading(told: str, hint: str) -> Iterator[None]:
    """Whatever is raised within becomes a refusal; warnings, which speak to programmers, are not shown.

    Args:
        told: what cannot be done, with the file's name, ready to print.
        hint: the remedy.

    Raises:
        ConfigError: `told`, and what the decoder said.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except AlxError:
        raise
    except Exception as error:  # no list of what a decoder may raise is ever whole
        says = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ConfigError(f"{told}: {escape(says, 120)}", hint) from error
