"""What a disk gives back of what was just written to it: its own word, not the cache's.

Knows paths and bytes; knows no bundle.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from alx import files
from alx.bundle import carried
from alx.errors import CorruptError, IncompleteError, LimitError, MalformedError, StorageError, TrustError, escape


@contextlib.contextmanager
def giving_back(path: Path, *, found: bool = False) -> Iterator[None]:
    """Whatever is wrong with what is read in the block is the disk's fault, or that of whoever put it there before.

    Args:
        path: what to delete there.
        found: it was there already, and this command wrote nothing of it.

    Raises:
        CorruptError: says what is wrong.
    """
    try:
        yield
    except (CorruptError, TrustError, MalformedError, IncompleteError, LimitError, StorageError) as error:
        told = "the disk does not give back what was written to it"
        raise CorruptError(
            f"{'what the disk had already is not the sealed bundle' if found else told}: {error.message}",
            f"do not carry it: delete {escape(str(path), 200)}, or take another disk, and export again",
        ) from error


def require(path: Path, data: bytes) -> None:
    """A small file is there as it was written.

    Raises:
        CorruptError: it is not.
        ForbiddenFileError: a link, or no plain file, lies there by now.
    """
    with giving_back(path):
        with files.storage(path), path.open("rb") as file:
            files.drop_cache(file.fileno())
        if carried.read_file(path, len(data)) != data:
            raise CorruptError(f"'{escape(path.name)}' is another one")
