"""How a bundle's files are dealt into groups, each rebuilt out of itself, and the small file that says so.

Knows counts, names and sizes; knows no arithmetic of Reed and Solomon. The header is no more trusted than the disk that it
lies on: it says how many parity files there are and what they should be, and nothing about the bundle.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from alx.bundle import read, strict_json
from alx.bundle.carried import Source
from alx.bundle.layout import MAX_FILES
from alx.bundle.signature import Sha256, SignedBundle, SignedFile
from alx.errors import LimitError, MalformedError
from alx.records import Strict

HEADER_NAME = "parity.json"
MAX_HEADER_BYTES = 4 << 20  # the digests of MAX_FILES parity files
MAX_SHARES = 200  # files of a group, parity included: zfec takes 256, all are open at once, and macOS opens 256 in all
MAX_MISS = 1e-6  # chance that a group falls short although no more than the stated share of all files is lost
_NO_DIGEST = "0" * 64


class ParityFile(Strict):
    """parity.json: which parity files there are. All else follows from the bundle's signature."""

    format: Literal["alx-parity"]
    version: Literal[1]
    bundle: Sha256 = Field(description="digest of the bundle")
    groups: Annotated[
        list[Annotated[list[Sha256], Field(min_length=1, max_length=MAX_SHARES)]], Field(min_length=1, max_length=MAX_FILES)
    ] = Field(description="for each group the SHA-256 of its parity files, to find damaged ones")


@dataclass(frozen=True, slots=True)
class Group:
    """Files that are rebuilt out of each other: any of them, as many as there are parity files."""

    files: list[SignedFile]
    parity: list[SignedFile]


def _dealt(data: list[SignedFile], index: int, groups: int, digests: list[str]) -> Group:
    """Group `index`: every `groups`-th file, so that neighbours on a disk are lost to different groups."""
    members = data[index::groups]
    longest = max(f.size for f in members)
    names = (f"g{index:05d}-p{i:03d}" for i in range(len(digests)))
    parity = [  # signed by nobody: the record serves to compare what is read with its digest
        SignedFile(name=n, algorithm="sha256", digest=d, size=longest) for n, d in zip(names, digests, strict=True)
    ]
    return Group(members, parity)


def lost(count: int, percent: int) -> int:
    """How many files a share of them is: rounded up."""
    return -(-count * percent // 100)


def shares(count: int, percent: int) -> tuple[int, int]:
    """How many groups there are, and how many parity files each has.

    One group while it is small enough: then any `percent` of the files may be lost. With more, a group needs some to
    spare, as files lost here and there do not fall evenly.

    Args:
        count: number of files.
        percent: share of them that may be lost, 1 to 100.
    """
    gone = lost(count, percent)
    if count + gone <= MAX_SHARES:
        return 1, gone
    for groups in range(-(-count // MAX_SHARES), count + 1):
        largest = -(-count // groups)
        spare = _enough(count, gone, largest, MAX_MISS / groups)
        if largest + spare <= MAX_SHARES:
            break
    return groups, spare


def _enough(count: int, gone: int, members: int, miss: float) -> int:
    """Spare for `members` of `count` files that falls short with a chance of `miss` where `gone` are lost here and there."""

    def choose(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    tail = 0.0
    for n in range(min(members, gone), 0, -1):
        if gone - n <= count - members:
            tail += math.exp(choose(members, n) + choose(count - members, gone - n) - choose(count, gone))
        if tail > miss:
            return n
    return 1


def deal(signed: SignedBundle, percent: int) -> list[Group]:
    """The groups for a share of files that may be lost; their parity files' digests are not known yet.

    Raises:
        LimitError: more parity files than a folder may have.
    """
    data = read.data_files(signed)
    count, spare = shares(len(data), percent)
    if count * spare >= MAX_FILES:  # three other files lie beside them
        raise LimitError(f"{count * spare} parity files, and fewer than {MAX_FILES} are allowed", "ask for a smaller share")
    return [_dealt(data, i, count, [_NO_DIGEST] * min(spare, len(data[i::count]))) for i in range(count)]


def size(groups: list[Group]) -> int:
    """Bytes that the parity files take."""
    return sum(p.size for group in groups for p in group.parity)


def header(signed: SignedBundle, groups: list[Group]) -> bytes:
    """The bytes of the header."""
    said = ParityFile(
        format="alx-parity", version=1, bundle=signed.digest, groups=[[p.digest for p in g.parity] for g in groups]
    )
    return strict_json.text(said)


def read_header(source: Source, signed: SignedBundle) -> list[Group]:
    """Read a parity folder's header: how the bundle's files are grouped, and which parity files there are.

    Args:
        source: the folder, surveyed.
        signed: what the bundle's verified signature says.

    Raises:
        LimitError: larger than parity may be.
        MalformedError: no header of this format, or that of another bundle.
        StorageError: it cannot be read.
    """
    text = source.read(HEADER_NAME, MAX_HEADER_BYTES)
    value = strict_json.parse(text, HEADER_NAME, MAX_HEADER_BYTES, 3 * MAX_FILES + 16)
    header = strict_json.validate(ParityFile, value, f"{HEADER_NAME} is not of an alx bundle's parity")
    if header.bundle != signed.digest:
        raise MalformedError(f"it is of the bundle {header.bundle[:16]}…, expected {signed.digest[:16]}…")
    strict_json.require_form(text, header, HEADER_NAME)
    data = read.data_files(signed)
    count = len(header.groups)
    if count > len(data):
        raise MalformedError(f"{count} groups, and the bundle has {len(data)} files that they could be of")
    out = [_dealt(data, index, count, digests) for index, digests in enumerate(header.groups)]
    for group in out:
        most = min(len(group.files), MAX_SHARES - len(group.files))  # sparse files could else keep us reading for days
        if len(group.parity) > most:
            raise LimitError(f"{len(group.parity)} parity files for a group of {len(group.files)}, and {most} are allowed")
    return out
