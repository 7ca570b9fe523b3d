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
def giving_back(path: Path) -> Iterator[None]:
    """Whatever is wrong with what is read in the block is the disk's fault.

    Args:
        path: what to delete there.

    Raises:
        CorruptError: says what is wrong.
    """
    try:
        yield
    except (CorruptError, TrustError, MalformedError, IncompleteError, LimitError, StorageError) as error:
        raise CorruptError(
            f"the disk does not give back what was written to it: {error.message}",
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
