"""One bundle over several disks: deal its files out by the room that each disk has, and put each share there.

Knows disks and what of a bundle lies on which; knows no model's meaning. A disk's share is a folder with its number in its
name, `alx-1f3a90c2-r001-learner.1-of-2`, that can be verified by itself.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alx import files
from alx.bundle import carried, parity, read, share
from alx.bundle.share import MAX_DISKS, Share
from alx.bundle.signature import SignedBundle
from alx.errors import AlxError, SpaceError, UsageError, count, escape
from alx.progress import Tell, silent
from alx.site import entries
from alx.site.state import SiteState
from alx.steps import outgoing, receipts
from alx.steps.outgoing import PARTIAL, Exported, Own

MARGIN_BYTES = 1 << 16  # the folders themselves, where a disk has large blocks


@dataclass(frozen=True, slots=True)
class _Disk:
    """A disk as it was named, with what it can take.

    Attributes:
        path: the folder.
        final: the share's folder there.
        room: bytes free, and those of what is there already of this share and its parity; None where nobody knows.
        block: bytes of a block.
    """

    path: Path
    final: Path
    room: int | None
    block: int

    @property
    def places(self) -> tuple[Path, Path]:
        return self.final, self.final.with_name(self.final.name + PARTIAL)


def export(
    now: SiteState, paths: Sequence[Path], tell: Tell = silent, *, parity_percent: int | None = None
) -> list[Exported]:
    """Copy the last sealed bundle to several disks, a share to each, read each back from there, and record it.

    Whether all of it fits is asked before anything is written. Interrupted, the same command goes on, with the same shares.

    Args:
        now: this site, locked by the caller.
        paths: a folder on each of at least two disks.
        tell: progress, of one disk after the other.
        parity_percent: see `outgoing.export`; of each disk's files by themselves.

    Returns:
        What was put on each.

    Raises:
        UsageError: one is not there, named twice, or named in another place than before; or it is a closing's turn.
        SpaceError: the disks have too little room together; says how much each has and how much is missing.
        AlxError: see `outgoing.export`.
    """
    last = outgoing.last_sealed(now.position, None)
    if last.closing or now.position.step == "export-closing":
        raise UsageError("a closing is one small file", "name one disk")
    if parity_percent is not None:
        parity.zfec()
    if len(paths) > MAX_DISKS:
        raise UsageError(f"{len(paths)} disks, and a bundle may lie on {MAX_DISKS}", "take larger ones")
    for path in paths:
        outgoing.require_folder(path)
    for first, second in itertools.combinations(paths, 2):
        with files.storage(second):
            if first.samefile(second):
                raise UsageError(f"'{escape(str(second), 200)}' is named twice", "name a folder on each disk once")
    with outgoing.own_bundle(now, last) as own:
        agreed = outgoing.approved(now, own)
        disks = _disks(paths, last.bundle, parity_percent)
        counts = _counts(disks, own, parity_percent)
        made = []
        for disk, part in zip(disks, _shares(counts), strict=True):
            wanted = part.of(own.signed).files
            made.append(outgoing.put(own, last, wanted, disk.final, tell, part=part, parity_percent=parity_percent))
            outgoing.put_approvals(agreed, disk.path, own)
            made[-1] = replace(made[-1], receipt=receipts.put(now, disk.path))
    entry = entries.Exported(round=last.round, bundle=last.bundle, digest=own.signed.digest, parity=parity_percent)
    now.append(entry._replace(disks=len(disks), officers=outgoing.names_of(agreed)))
    return made


def folders(bundle: str, disks: int) -> list[str]:
    """The name of what lies on each of some disks."""
    return [bundle] if disks == 1 else [each.folder(bundle) for each in _shares((1,) * disks)]


def _shares(counts: tuple[int, ...]) -> Iterator[Share]:
    return (Share(k, counts) for k in range(1, len(counts) + 1))


def _disks(paths: Sequence[Path], bundle: str, percent: int | None) -> list[_Disk]:
    """The disks with their room; where two folders are on one file system, they share what is free there."""
    names = folders(bundle, len(paths))
    devices = []
    for path, name in zip(paths, names, strict=True):
        for other in names:
            if other != name and any((path / f"{other}{end}").exists() for end in ("", PARTIAL)):
                raise UsageError(
                    f"'{escape(str(path), 200)}' has '{other}' already, and is named in the place of '{name}'",
                    "name the disks in the same order as before, or delete what is there",
                )
        with files.storage(path):
            devices.append(path.stat().st_dev)
    out = []
    for path, name, device in zip(paths, names, devices, strict=True):
        free, block = files.room(path)
        disk = _Disk(path, path / name, None, block)
        if free is not None:
            there = sum(files.taken(place, block) for place in outgoing.places(disk.final, percent))
            disk = _Disk(path, path / name, max(0, free - files.SPARE_BYTES) // devices.count(device) + there, block)
        out.append(disk)
    return out


def _counts(disks: Sequence[_Disk], own: Own, percent: int | None) -> tuple[int, ...]:
    """How many files each disk has: as an interrupted export dealt them out, by the room of each, or else as they fit.

    Raises:
        SpaceError: there is too little; says where, and how much is missing.
        UsageError: fewer files than disks.
    """
    data = read.data_files(own.signed)
    if len(data) < len(disks):
        raise UsageError(f"the bundle has {count(len(data), 'file')}, too few for {len(disks)} disks", "name fewer disks")

    def needs(counts: tuple[int, ...]) -> list[int]:
        return [_need(own, part, disk.block, percent) for part, disk in zip(_shares(counts), disks, strict=True)]

    kept = next(filter(None, (_dealt(disk, own.signed) for disk in disks)), None)
    if kept is not None and (_missing(disks, needs(kept)) == 0 or any(d.final.exists() for d in disks)):
        _refuse_missing(disks, needs(kept))
        return kept
    known = all(d.room is not None for d in disks)
    # beside its part of the bytes each disk has room for one file more: the cut falls between two
    spare = _need(own, Share(1, (1, len(data) - 1)), max(d.block for d in disks), percent) + MARGIN_BYTES
    weights = [max(0, d.room - spare) if known and d.room is not None else 1 for d in disks]
    counts = share.deal([f.size for f in data], weights if any(weights) else [1] * len(disks))
    if _missing(disks, needs(counts)):
        rooms = [d.room for d in disks]
        counts = share.fill(len(data), rooms, lambda part: _need(own, part, disks[part.disk - 1].block, percent))
    _refuse_missing(disks, needs(counts))
    return counts


def _need(own: Own, part: Share, block: int, percent: int | None) -> int:
    """Bytes that a disk's share takes, with its parity; what parity.json takes is within `files.SPARE_BYTES`."""
    here = [f.size for f in part.of(own.signed).files.values()]
    beside = [len(own.data), share.MAX_SHARE_BYTES]
    spared = [] if percent is None else outgoing.spared(own.signed, part, percent)
    small = [read.manifest_file(own.signed).size, *beside] if spared else []
    return files.on_blocks([*here, *beside, *spared, *small], block)


def _missing(disks: Sequence[_Disk], needs: Sequence[int]) -> int:
    return sum(max(0, need - d.room) for d, need in zip(disks, needs, strict=True) if d.room is not None)


def _refuse_missing(disks: Sequence[_Disk], needs: Sequence[int]) -> None:
    missing = _missing(disks, needs)
    if missing:
        told = ", ".join(
            f"'{escape(str(d.path), 200)}' {files.size(need)} of {files.size(d.room)}"
            for d, need in zip(disks, needs, strict=True)
            if d.room is not None
        )
        raise SpaceError(
            f"{files.size(missing)} of room are missing for the bundle's {files.size(sum(needs))} (needed, of the room that "
            f"there is: {told})",
            "free some, or name one disk more: all of them in one command",
        )


def _dealt(disk: _Disk, signed: SignedBundle) -> tuple[int, ...] | None:
    """How an earlier run of the command dealt the files, where the disk says so of this bundle."""
    for place in disk.places:
        with contextlib.suppress(AlxError):
            found = share.parse(carried.read_file(place / share.SHARE_NAME, share.MAX_SHARE_BYTES), signed)
            if disk.final.name == found.folder(signed.name):
                return found.counts
    return None
