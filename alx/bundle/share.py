"""A bundle over several disks: which of its files lie on which, and the small file on each disk that says so.

Knows names, counts and sizes; knows no key and no site. Nothing signs share.json, and nothing has to: every file is
compared with its signed digest. What it says serves to tell what lies on another disk from what is lost.
"""

import bisect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from alx.bundle import read, strict_json
from alx.bundle.carried import Source
from alx.bundle.signature import Sha256, SignedBundle
from alx.errors import AlxError, MalformedError
from alx.records import Strict

SHARE_NAME = "share.json"
MAX_DISKS = 99  # two digits of a folder's name
MAX_SHARE_BYTES = 4096  # MAX_DISKS counts and a digest


class ShareFile(Strict):
    """share.json: how a bundle's files are dealt out to disks, and which of the disks this is."""

    format: Literal["alx-share"]
    version: Literal[1]
    bundle: Sha256 = Field(description="digest of the bundle, as its signature says it")
    disk: Annotated[int, Field(ge=1, le=MAX_DISKS)] = Field(description="the disk's number, from 1")
    files: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=MAX_DISKS)] = Field(
        description="how many files lie on each disk: all but the manifest, which each has, in the order of their names"
    )


@dataclass(frozen=True, slots=True)
class Share:
    """What of a bundle lies on disk `disk`, from 1, of as many as there are counts of files."""

    disk: int
    counts: tuple[int, ...]

    def folder(self, bundle: str) -> str:
        """The name of a share's folder, which is also the disk's: `alx-1f3a90c2-r001-learner.1-of-2`."""
        return f"{bundle}.{self.disk}-of-{len(self.counts)}"

    def of(self, signed: SignedBundle) -> SignedBundle:
        """What was signed, as far as it lies on this disk: the manifest, and this disk's files."""
        data, end = read.data_files(signed), sum(self.counts[: self.disk])
        here = [read.manifest_file(signed), *data[end - self.counts[self.disk - 1] : end]]
        return replace(signed, files={f.name: f for f in here})

    def text(self, signed: SignedBundle) -> bytes:
        """The bytes of share.json."""
        return strict_json.text(
            ShareFile(format="alx-share", version=1, bundle=signed.digest, disk=self.disk, files=list(self.counts))
        )


def deal(sizes: Sequence[int], rooms: Sequence[int]) -> tuple[int, ...]:
    """How many files go on each disk: of all bytes as much as it has of all room, to within one file, and at least one.

    Args:
        sizes: bytes of each file, in their order; as many as disks, or more.
        rooms: bytes that each disk has room for, not all 0.

    Returns:
        A count for each disk. What one holds is above its part by at most one file.
    """
    ends = list(itertools.accumulate(sizes, initial=0))
    total, room = ends[-1], sum(rooms)
    cuts = [0]
    for i, upto in enumerate(itertools.accumulate(rooms), 1):
        cut = bisect.bisect_right(ends, total * upto // room) - 1
        cuts.append(min(max(cut, cuts[-1] + 1), len(sizes) - len(rooms) + i))
    return tuple(after - before for before, after in itertools.pairwise(cuts))


def fill(files: int, rooms: Sequence[int | None], need: Callable[[Share], int]) -> tuple[int, ...]:
    """How many files go on each disk where one after the other takes as many as it can: what fits in their order, fits so.

    Args:
        files: how many there are; as many as disks, or more.
        rooms: bytes that each disk has room for; None where nobody knows, and it takes what there is.
        need: bytes that a share takes, more for more files; no disk after it is dealt to yet.

    Returns:
        A count for each disk, at least one. The last has the rest, whether that fits or not.
    """
    counts: tuple[int, ...] = ()

    def takes(upto: int) -> int:
        return need(Share(len(counts) + 1, (*counts, upto)))

    for after in range(len(rooms) - 1, 0, -1):
        room, most = rooms[len(counts)], files - sum(counts) - after
        counts += (most if room is None else max(1, bisect.bisect_right(range(1, most + 1), room, key=takes)),)
    return (*counts, files - sum(counts))


def parse(data: bytes, signed: SignedBundle) -> Share:
    """The bytes of a share.json.

    Raises:
        LimitError: longer than it may be.
        MalformedError: none of this format, or that of another bundle.
    """
    value = strict_json.parse(data, SHARE_NAME, MAX_SHARE_BYTES)
    said = strict_json.validate(ShareFile, value, f"{SHARE_NAME} does not say what of an alx bundle is here")
    if said.bundle != signed.digest:
        raise MalformedError(f"{SHARE_NAME} is of the bundle {said.bundle[:16]}…, expected {signed.digest[:16]}…")
    strict_json.require_form(data, said, SHARE_NAME)
    count = len(read.data_files(signed))
    if said.disk > len(said.files) or sum(said.files) != count:
        raise MalformedError(
            f"{SHARE_NAME} deals {sum(said.files)} files out to {len(said.files)} disks, as number {said.disk} of them; the "
            f"bundle has {count}"
        )
    return Share(said.disk, tuple(said.files))


def take(source: Source, signed: SignedBundle) -> Share | None:
    """What a folder says that it holds, if it says so; its share.json is then no file of the folder any more.

    One that cannot be read stays there, as a file that is not of the bundle, with the reason in `source.damage`.

    Args:
        source: the folder, surveyed, not yet compared.
        signed: what the bundle's verified signature says.
    """
    if SHARE_NAME not in source.sizes:
        return None
    try:
        found = parse(source.read(SHARE_NAME, MAX_SHARE_BYTES), signed)
    except AlxError as error:
        del source.sizes[SHARE_NAME]
        source.damage[SHARE_NAME] = f"is not of the bundle ({error.message})"
        return None
    del source.sizes[SHARE_NAME]
    return found
