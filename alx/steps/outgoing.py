"""What goes out: copy the sealed bundle to the disk that is carried, and read it back from there.

Knows bundles and the ledger; knows no model's meaning.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alx import files
from alx.bundle import approval, carried, groups, layout, parity, read, request, share
from alx.bundle.approval import Approval
from alx.bundle.carried import Source
from alx.bundle.layout import DATA_FOLDER
from alx.bundle.request import Request
from alx.bundle.share import Share
from alx.bundle.signature import SignedBundle, SignedFile
from alx.errors import (
    CorruptError,
    ForbiddenFileError,
    MalformedError,
    RollbackError,
    SpaceError,
    StaleError,
    TurnError,
    UsageError,
    escape,
)
from alx.progress import Tell, silent
from alx.site import entries, shelf
from alx.site.entries import Sealed
from alx.site.keyring import PUBLIC_NAME
from alx.site.position import Position
from alx.site.state import SiteState
from alx.steps import closing, drive, file_system, read_back, receipts

PARTIAL = ".partial"  # a copy in progress has this suffix, so nothing half-done ever looks finished
REPAIR = ".repair-"  # the files that were asked for, and the first 8 digits of the request's digest


@dataclass(frozen=True, slots=True)
class Parity:
    """The parity beside a bundle: of `files` files any `lost`, or in more than one group as many here and there."""

    path: Path
    size: int
    files: int
    lost: int
    groups: int


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export` did."""

    path: Path
    digest: str
    size: int
    round: int
    closing: bool
    files: int
    again: bool
    """True if the disk held this very bundle already; it was read back all the same."""
    parity: Parity | None
    file_system: str | None
    """That of the disk, by the kernel's name of it; None where the system does not tell."""
    receipt: Path | None = None
    """The receipt of the peer's last bundle, which lies beside it."""

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "bundle": self.path,
            "digest": self.digest,
            "round": self.round,
            "closing": self.closing,
            "files": self.files,
            "bytes": self.size,
            "again": self.again,
            "parity": self.parity.path if self.parity is not None else None,
            "file_system": self.file_system,
            "receipt": self.receipt,
        }


def export(
    now: SiteState,
    disk: Path,
    tell: Tell = silent,
    *,
    only: Path | None = None,
    parity_percent: int | None = None,
    mounts: Path = drive.MOUNTS,
) -> Exported:
    """Copy the last sealed bundle, or what the peer asks for of it, to a disk, read it back from there, and record it.

    After the learner's last selection that bundle is the closing, which is sealed first.

    Args:
        now: this site, locked by the caller.
        disk: a folder on the disk.
        tell: progress.
        only: the peer's request file; None for the whole bundle.
        parity_percent: share of the files, 1 to 100, that the receiver can rebuild where they are lost; None for none.
        mounts: see `drive.file_system`.

    Raises:
        TrustError, LimitError, ForbiddenFileError: see `request.verify`.
        ForbiddenFileError: a link on the disk, or no folder, has the bundle's name.
        RollbackError, StaleError: the request is about another bundle than the last one sealed.
        MalformedError: it names a file that the bundle does not have; or see `request.verify`.
        TurnError: nothing is sealed.
        TrustError: the plan's officers have not approved it, or see `approval.collected`.
        UsageError: there is no such folder; parity of a closing; or see `closing.sealed`, which also raises TrustError.
        SpaceError, StorageError: the disk is full, read-only, or gone; see `file_system.refuse_unfit`.
        CorruptError: what was read back is not what was written, or the disk holds another bundle of that name.
    """
    asked = None if only is None else request.verify(carried.read_file(only, request.MAX_REQUEST_BYTES), now.peer_key)
    last = last_sealed(now.position, asked)
    ends = last.closing or now.position.step == "export-closing"
    if parity_percent is not None:
        if ends:
            raise UsageError("a closing is one small file, with nothing to rebuild it from", "leave out --parity")
        parity.zfec()
    require_folder(disk)
    if ends:
        last = closing.sealed(now)
    final = disk / (last.bundle if asked is None else f"{last.bundle}{REPAIR}{asked.digest[:8]}")
    try:
        with own_bundle(now, last) as ours:
            agreed = approved(now, ours)
            wanted = _wanted(ours.signed, asked)
            made = put(ours, last, wanted, final, tell, parity_percent=parity_percent, mounts=mounts)
            put_approvals(agreed, disk, ours)
            made = replace(made, receipt=receipts.put(now, disk))
    except SpaceError as error:
        if asked is None and not ends:
            error.hint = f"{error.hint}; or name a second disk too: alx export DISK1 DISK2"
        raise
    entry = entries.Exported(round=last.round, bundle=last.bundle, digest=made.digest, parity=parity_percent)
    entry = entry._replace(officers=names_of(agreed))
    if asked is not None:
        names = tuple(wanted)
        entry = entry._replace(request=asked.digest, files=len(names), names=names)
    now.append(entry)
    return made


def due(now: SiteState) -> str:
    """The name of what `export` hands over now; empty where nothing is sealed yet."""
    if now.position.step == "export-closing":
        return layout.closing_name(now.site.plan_file.digest, now.position.round)
    return now.position.sealed[-1].bundle if now.position.sealed else ""


def approved(now: SiteState, own: "Own") -> list[Approval]:
    """The approvals of this site's officers, where the plan has some; they lie beside the bundle in the outbox.

    Raises:
        TrustError: too few.
        AlxError: see `approval.collected`.
    """
    officers = now.site.plan.approvers(now.site.role)
    if officers is None:
        return []
    place = approval.folder(own.source.path, own.signed.name)
    found = approval.collected([place], own.signed.digest, officers)
    hint = f"an officer runs {approve_command(now, own.source.path)}; the file goes into '{place.name}'"
    approval.refuse_few(len(found), officers, hint, to_come=True)
    return list(found.values())


def approve_command(now: SiteState, bundle: Path) -> str:
    """What an officer types to approve a bundle in this site's outbox."""
    where, key = (escape(str(path), 200) for path in (bundle, now.site.folder / PUBLIC_NAME))
    run = f"alx approve {where} --key OFFICER.pem"
    # whoever names a key has no age key, and would see nothing of what is encrypted
    return f"{run} in the site's folder" if now.site.plan.encrypt else f"{run} --from {key}"


def names_of(found: Sequence[Approval]) -> tuple[str, ...] | None:
    """Fingerprints of the officers who approved, for the ledger; None where nobody had to."""
    return tuple(sorted(each.officer.fingerprint for each in found)) or None


def put_approvals(found: Sequence[Approval], disk: Path, own: "Own") -> None:
    """Write the approvals beside the bundle on a disk, and read them back.

    Raises:
        ForbiddenFileError: a link lies there.
        CorruptError: what was read back is not what was written.
        SpaceError, StorageError: see `files.storage`.
    """
    if found:
        place = disk / f"{own.signed.name}{approval.SUFFIX}"
        _refuse_links(place)
        files.remove_tree(place)
        approval.put(place, found)
        for each in found:
            read_back.require(place / each.name, each.data)


def require_folder(disk: Path) -> None:
    """The folder on a disk that a person named is there.

    Raises:
        UsageError: it is not.
    """
    with files.storage(disk):
        if not disk.is_dir():
            raise UsageError(f"there is no folder '{escape(str(disk), 200)}'", "is the disk mounted there?")


@dataclass(frozen=True, slots=True)
class Own:
    """This site's sealed bundle, verified: its folder, what its signature says, and the bytes of `round.sig`."""

    source: Source
    signed: SignedBundle
    data: bytes


@contextlib.contextmanager
def own_bundle(now: SiteState, last: Sealed) -> Iterator[Own]:
    """The bundle that was sealed last, out of the outbox.

    Raises:
        CorruptError: see `shelf.verified`.
    """
    with shelf.verified(now, last) as (source, data, signed):
        yield Own(source, signed, data)


def put(
    own: Own,
    last: Sealed,
    wanted: Mapping[str, SignedFile],
    final: Path,
    tell: Tell = silent,
    *,
    part: Share | None = None,
    parity_percent: int | None = None,
    mounts: Path = drive.MOUNTS,
) -> Exported:
    """Put files of the bundle into a folder on a disk, read them back from there, and only then give it its name.

    A copy that was interrupted goes on: what is there and good stays there.

    Args:
        own: the bundle.
        last: the ledger's word on it.
        wanted: the files.
        final: the folder.
        tell: progress.
        part: what of the bundle these files are, where it lies on several disks.
        parity_percent: see `export`.
        mounts: see `export`.

    Raises:
        AlxError: see `export`.
    """
    partial = final.with_name(final.name + PARTIAL)
    _refuse_links(final, partial, partial / DATA_FOLDER)
    with files.storage(final):
        again = final.exists()
        if again and not final.is_dir():
            raise ForbiddenFileError(f"'{escape(str(final), 200)}' is in the way: it is no folder", "delete it")
    if parity_percent is not None:
        sizes = [*spared(own.signed, part, parity_percent), *(f.size for f in wanted.values())]
        files.require_space(final.parent, sizes, places(final, parity_percent))
    kind = drive.file_system(final.parent, mounts)
    if not again:
        file_system.refuse_unfit(kind, final.parent, {f.name: f.size for f in wanted.values()})
        # before the files: the same command, run again, deals as before
        beside = None if part is None else {share.SHARE_NAME: part.text(own.signed)}
        read.copy(own.source, wanted.values(), own.data, partial, tell, beside)
        files.sync_tree(partial)
    _read_back(final if again else partial, own.signed, wanted, tell, part, found=again)
    if not again:  # only what came back whole gets the name of a bundle
        files.publish(partial, final)
    spare = None if parity_percent is None else _put_parity(own, part, parity_percent, final, tell)
    total = len(own.data) + sum(f.size for f in wanted.values())
    return Exported(final, own.signed.digest, total, last.round, last.closing, len(wanted) + 1, again, spare, kind)


def places(final: Path, percent: int | None) -> list[Path]:
    """Where an export to a folder puts files: what lies there already it keeps or makes anew, and needs no more room for."""
    spare = final.with_name(final.name + parity.SUFFIX)
    with files.storage(final):
        copy = final if final.exists() else final.with_name(final.name + PARTIAL)
    return [copy] if percent is None else [copy, spare, spare.with_name(spare.name + PARTIAL)]


def spared(signed: SignedBundle, part: Share | None, percent: int) -> list[int]:
    """Bytes of each parity file of a bundle, or of what of it lies on one disk."""
    whole = signed if part is None else part.of(signed)
    return [p.size for group in groups.deal(whole, percent) for p in group.parity]


def _refuse_links(*paths: Path) -> None:
    for path in paths:
        with files.storage(path):
            if path.is_symlink():
                raise ForbiddenFileError(f"'{escape(str(path), 200)}' is a symbolic link", "delete it, or take another disk")


def _put_parity(own: Own, part: Share | None, percent: int, final: Path, tell: Tell) -> Parity:
    """Write parity beside the bundle, and read it back. What was there of that name is made anew: nothing in it is ours.

    On one of several disks it is of what lies there, so that each disk mends itself.
    """
    signed = own.signed if part is None else part.of(own.signed)
    target = final.with_name(final.name + parity.SUFFIX)
    partial = target.with_name(target.name + PARTIAL)
    files.remove_tree(target)
    files.remove_tree(partial)
    made = parity.make(own.source.path, signed, own.data, percent, partial, lambda i, n: tell("parity", i, n))
    if part is not None:
        files.write(partial / share.SHARE_NAME, part.text(own.signed), shared=True)
    files.sync_tree(partial)
    with read_back.giving_back(partial), carried.survey(partial) as copy:
        _drop_cache(copy)
        parity.check(copy, signed, own.data)
    files.publish(partial, target)
    count = sum(len(g.files) for g in made)
    return Parity(target, groups.size(made), count, groups.lost(count, percent), len(made))


def last_sealed(position: Position, asked: Request | None) -> Sealed:
    """What is to be handed over; where something is asked for, what it is asked of.

    Raises:
        TurnError: nothing is sealed, or what is due is not sealed yet.
        RollbackError, StaleError: see `export`.
    """
    if not position.sealed:
        raise TurnError("no turn is sealed yet: there is nothing to export", f"next: {position.next_command}")
    if asked is not None:
        _check_request(position, asked)
    if position.step == "train" or (position.step == "export-closing" and asked is not None):
        due = "turn" if position.step == "train" else "closing"
        raise TurnError(
            f"the {due} of round {position.round} is not sealed yet, and the bundle before was answered already",
            f"next: {position.next_command}",
        )
    return position.sealed[-1]


def _check_request(position: Position, asked: Request) -> None:
    """About the last sealed bundle: the peer has those before it, or could not have sent what followed."""
    last = position.sealed[-1]
    for turn in position.sealed[:-1]:
        if turn.digest == asked.bundle:
            raise RollbackError(
                f"the request is about the {turn.what}, which the peer has answered since; "
                f"the last one sealed is the {last.what}",
                "is it an old request? ask the peer for the newest",
            )
    if asked.bundle != last.digest:
        raise StaleError(
            f"the request is about a bundle of digest {asked.bundle[:16]}…, which this site never sealed; "
            f"the last one sealed is {last.digest[:16]}…",
            "is it for another site of yours? is this site's ledger an old backup?",
        )


def _wanted(signed: SignedBundle, asked: Request | None) -> Mapping[str, SignedFile]:
    if asked is None:
        return signed.files
    for name in asked.files:
        if name not in signed.files:
            raise MalformedError(f"the request names '{escape(name)}', which the bundle does not have")
    return {name: signed.files[name] for name in asked.files}


def _read_back(
    path: Path, signed: SignedBundle, wanted: Mapping[str, SignedFile], tell: Tell, part: Share | None, *, found: bool
) -> None:
    with read_back.giving_back(path, found=found), carried.survey(path) as copy:
        if found:  # copied by hand, or by a killed command: what is not synced stays in the cache, which would answer
            files.sync([path / name for name in copy.sizes])
            files.sync_tree(path)
            files.sync_folder(path.parent)
        _drop_cache(copy)
        data, _ = read.claimed_key(copy)
        got = read.verify_signature(data, signed.signer)
        told = share.take(copy, got)
        read.compare(copy, wanted)
        if got.digest == signed.digest:
            if told != part:
                raise CorruptError("it holds another share of the bundle")
            for i, f in enumerate(wanted.values(), 1):
                copy.read_signed(f)
                tell("reading back", i, len(wanted))
            copy.refuse_damage()
    if got.digest != signed.digest:
        raise CorruptError(f"'{escape(str(path), 200)}' is another bundle of that name", "delete it there, and export again")


def _drop_cache(copy: Source) -> None:
    for name in copy.sizes:
        with copy.open(name) as fd:
            files.drop_cache(fd)
