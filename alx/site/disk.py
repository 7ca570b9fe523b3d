"""What goes out: copy the sealed bundle to the disk that is carried, and read it back from there.

Knows bundles and the ledger; knows no model's meaning.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alx import files
from alx.bundle import carried, read
from alx.bundle.carried import Source
from alx.bundle.manifest import DATA_FOLDER, Manifest
from alx.bundle.signature import SignedBundle
from alx.errors import (
    CorruptError,
    ForbiddenFileError,
    IncompleteError,
    LimitError,
    MalformedError,
    StorageError,
    TrustError,
    TurnError,
    UsageError,
    escape,
)
from alx.site import ledger
from alx.site.site import Site

Tell = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and how much in all."""

PARTIAL = ".partial"  # a copy in progress has this suffix, so nothing half-done ever looks finished


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export` did."""

    path: Path
    digest: str
    size: int
    round: int
    again: bool
    """True if the disk held this very bundle already; it was read back all the same."""


def export(site: Site, disk: Path, tell: Tell) -> Exported:
    """Copy the last sealed bundle to a disk, read it back from there, and record it.

    Args:
        site: this site, locked by the caller.
        disk: a folder on the disk.
        tell: progress.

    Raises:
        TurnError: nothing is sealed.
        UsageError: there is no such folder.
        SpaceError, StorageError: the disk is full, read-only, or gone.
        CorruptError: what was read back is not what was written, or the disk holds another bundle of that name.
    """
    position = site.position()
    if not position.sealed:
        raise TurnError("no turn is sealed yet: there is nothing to export", f"next: {position.next_command}")
    if position.step == "train":
        raise TurnError(
            f"the turn of round {position.round} is not trained yet, and the one before was answered already",
            f"next: {position.next_command}",
        )
    with files.storage(disk):
        if not disk.is_dir():
            raise UsageError(f"there is no folder '{escape(str(disk), 200)}'", "is the disk mounted there?")
    last = position.sealed[-1]
    source = site.outbox / last["bundle"]
    final = disk / last["bundle"]
    partial = disk / f"{last['bundle']}{PARTIAL}"
    with carried.survey(source) as own:
        data, _ = read.claimed_key(own)
        signed = read.verify(own, data, site.public_key)
        own.refuse_damage()
        if signed.digest != last["digest"]:
            raise CorruptError(f"'{source}' is not the bundle that was sealed", "restore the site from its backup")
        total = sum(own.sizes.values())
        with files.storage(disk):
            for path in (final, partial, partial / DATA_FOLDER):
                if path.is_symlink():
                    raise ForbiddenFileError(
                        f"'{escape(str(path), 200)}' is a symbolic link", "delete it, or take another disk"
                    )
            again = final.exists()
        if not again:
            read.copy(own, signed.files.values(), data, partial)
            files.sync_tree(partial)
    _read_back(site, final if again else partial, signed, tell)
    if not again:  # only what came back whole gets the name of a bundle
        files.publish(partial, final)
    body = {"round": last["round"], "bundle": last["bundle"], "digest": signed.digest}
    ledger.append(site.ledger_path, ("exported", body))
    return Exported(final, signed.digest, total, int(last["round"]), again)


def _read_back(site: Site, path: Path, signed: SignedBundle, tell: Tell) -> None:
    try:
        with carried.survey(path) as copy:
            for name in copy.sizes:
                # what was just written sits in the cache: ask for the disk's own word, where the system can (macOS cannot)
                with copy.open(name) as fd, contextlib.suppress(OSError, AttributeError):
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            data, _ = read.claimed_key(copy)
            got = read.verify(copy, data, site.public_key)
            for i, f in enumerate(got.files.values(), 1):
                copy.read_signed(f)
                tell("reading back", i, len(got.files))
            copy.refuse_damage()
    except (CorruptError, TrustError, MalformedError, IncompleteError, LimitError, StorageError) as error:
        raise CorruptError(
            f"the disk does not give back what was written to it: {error.message}",
            f"do not carry it: delete {escape(str(path), 200)}, or take another disk, and export again",
        ) from error
    if got.digest != signed.digest:
        raise CorruptError(f"'{escape(str(path), 200)}' is another bundle of that name", "delete it there, and export again")


def last_accepted(site: Site) -> tuple[Path, dict[str, Any]]:
    """The folder in the inbox of the bundle accepted last, and its ledger entry.

    Raises:
        TurnError: none was accepted yet.
    """
    position = site.position()
    if not position.accepted:
        raise TurnError("no bundle was imported yet", f"next: {position.next_command}")
    body = position.accepted[-1]
    return site.inbox / body["bundle"], body


@contextlib.contextmanager
def opened(site: Site, folder: Path, digest: str) -> Iterator[tuple[Source, SignedBundle, Manifest]]:
    """A bundle of the inbox or outbox, verified again.

    Args:
        site: this site.
        folder: where it lies.
        digest: what the ledger says of it.

    Yields:
        Source, signed bundle, manifest.

    Raises:
        CorruptError: it is not the one that the ledger names.
    """
    if not folder.is_dir():
        raise CorruptError(f"the site's bundle '{folder}' is gone", "restore the site from its backup")
    with carried.survey(folder, site.secret) as source:
        signed = read.verify(source, read.claimed_key(source)[0], site.signer(digest))
        source.refuse_damage()
        if signed.digest != digest:
            raise CorruptError(f"'{folder}' is not the bundle that the ledger names", "restore the site from its backup")
        yield source, signed, read.read_manifest(source, signed)
