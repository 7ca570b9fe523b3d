"""The disk that is carried: copy a sealed bundle out and read it back; verify one and take it in.

Knows bundles, the ledger and the peer; knows no model's meaning. Each step of taking in refuses with its own error and
leaves inbox and ledger as they were; one rename and one ledger entry commit it.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alx import files
from alx.bundle import read
from alx.bundle.keys import PublicKey
from alx.bundle.manifest import DATA_FOLDER, MANIFEST_NAME, Manifest, check_model
from alx.bundle.read import Source
from alx.bundle.signature import SIGNATURE_NAME, SignedBundle
from alx.errors import (
    CorruptError,
    ForbiddenFileError,
    ForkError,
    GapError,
    IncompleteError,
    LimitError,
    MalformedError,
    PeerError,
    RollbackError,
    StaleError,
    StorageError,
    TrustError,
    TurnError,
    UsageError,
    escape,
)
from alx.site import ledger
from alx.site.position import Position
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """A bundle that was verified and taken in, or had been before."""

    path: Path
    digest: str
    signer: PublicKey
    again: bool


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
    with files.storage(disk):
        if not disk.is_dir():
            raise UsageError(f"there is no folder '{escape(str(disk), 200)}'", "is the disk mounted there?")
    last = position.sealed[-1]
    source = site.outbox / last["bundle"]
    final = disk / last["bundle"]
    partial = disk / f"{last['bundle']}{PARTIAL}"
    with read.survey(source) as own:
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
            read.copy(own, signed, data, partial)
            files.sync_tree(partial)
    _read_back(site, final if again else partial, signed, tell)
    if not again:  # only what came back whole gets the name of a bundle
        files.publish(partial, final)
    ledger.append(site.ledger_path, "exported", {"round": last["round"], "bundle": last["bundle"], "digest": signed.digest})
    return Exported(final, signed.digest, total, int(last["round"]), again)


def _read_back(site: Site, path: Path, signed: SignedBundle, tell: Tell) -> None:
    try:
        with read.survey(path) as copy:
            for name in copy.sizes:
                with copy.open(name) as fd, contextlib.suppress(OSError):
                    # what was just written sits in the cache: ask for the disk's own word, where the system can
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


def accept(site: Site, path: Path, tell: Tell) -> Accepted:
    """Verify a bundle and take it in; the last accepted one again changes nothing.

    Args:
        site: this site, locked by the caller.
        path: the bundle's folder on the disk.
        tell: progress.

    Raises:
        AlxError: see the order in `docs/format.md`; every step has its class.
    """
    peer = site.peer
    with read.survey(path) as source:
        data, claimed = read.claimed_key(source)
        if claimed == site.public_key.fingerprint:
            raise PeerError("this is a bundle of the site's own", "import the one that the peer made")
        signed = read.verify(source, data, peer.key)
        position = site.position()
        known = _known(site, position, signed)
        if known is not None:
            return known
        read.require_manifest(signed)
        staging = site.folder / "staging" / signed.digest
        if source.read_signed(signed.files[MANIFEST_NAME]) is None:
            # who, to whom and which round cannot be told: what else is bad can, and what is good is kept for the repair
            read.copy(source, signed, data, staging)
        manifest = read.read_manifest(source, signed)
        check_sides(site, manifest)
        check_turn(position, manifest, signed.digest, peer.file.role, site.plan.rounds)
        check_contents(site, manifest)
        _clear_other(staging)
        read.copy(source, signed, data, staging)
    with read.survey(staging) as copy:
        signed = read.verify(copy, copy.read(SIGNATURE_NAME, len(data)), peer.key)
        copy.refuse_damage()
        for i, _, _ in read.states(copy, signed, manifest):
            tell("checking", i + 1, len(manifest.candidates))
    final = site.inbox / manifest.name()
    files.remove_tree(final)  # left by a command that was killed before the ledger knew of it
    files.publish(staging, final)
    ledger.append(
        site.ledger_path,
        "accepted",
        {
            "round": manifest.round,
            "sequence": manifest.sequence,
            "bundle": manifest.name(),
            "digest": signed.digest,
            "previous": manifest.previous,
            "answers": manifest.answers,
        },
    )
    return Accepted(final, signed.digest, peer.key, again=False)


def _clear_other(staging: Path) -> None:
    """Throw away what an earlier, other bundle left half-copied."""
    with files.storage(staging.parent):
        others = [p for p in staging.parent.iterdir() if p != staging] if staging.parent.is_dir() else []
    for other in others:
        files.remove_tree(other)


def _known(site: Site, position: Position, signed: SignedBundle) -> Accepted | None:
    for body in position.accepted:
        if body["digest"] == signed.digest:
            if body is not position.accepted[-1]:
                raise RollbackError(
                    f"this is the bundle of round {body['round']}, which was imported; "
                    f"the last one imported is that of round {position.accepted[-1]['round']}",
                    "import the newest bundle on the disk",
                )
            return Accepted(site.inbox / body["bundle"], signed.digest, signed.signer, again=True)
    return None


def check_sides(site: Site, manifest: Manifest) -> None:
    """From the peer, to this site, under this plan.

    Raises:
        PeerError: says who and what was expected.
    """
    peer = site.peer
    for what, got, expected in (
        ("sender's role", manifest.sender.role, peer.file.role),
        ("sender's key", manifest.sender.key, peer.key.fingerprint),
        ("receiver's role", manifest.receiver.role, site.role),
        ("receiver's key", manifest.receiver.key, site.public_key.fingerprint),
        ("plan", manifest.plan, site.plan_file.digest),
        ("sender's sample count", str(manifest.samples), str(peer.file.samples)),
    ):
        if got != expected:
            raise PeerError(
                f"the bundle's {what} is {escape(got, 16)}, expected {escape(expected, 16)}",
                "is it meant for this site and this plan?",
            )


def check_turn(position: Position, manifest: Manifest, digest: str, role: str, rounds: int) -> None:
    """The next bundle of the peer within the plan's rounds, and an answer to this site's last one.

    Raises:
        RollbackError, ForkError, GapError, StaleError: say which round was expected and which came.
    """
    accepted = {int(b["sequence"]): b["digest"] for b in position.accepted}
    sealed = {int(b["sequence"]): b["digest"] for b in position.sealed}
    last = max(accepted, default=0)
    expected = last + 2 if last else (1 if role == "learner" else 2)
    came = f"this is the {role}'s bundle of round {manifest.round}"
    if manifest.sequence in accepted and accepted[manifest.sequence] != digest:
        raise ForkError(
            f"{came}, and a different one of that round was imported before: the peer has sealed the round twice",
            "stop here and ask the peer: one of the two histories is false",
        )
    if manifest.sequence < expected:
        raise RollbackError(f"{came}, expected that of round {(expected + 1) // 2}", "import the newest bundle")
    if manifest.round > rounds:
        raise GapError(f"{came}, and the plan has {rounds} rounds", f"next: {position.next_command}")
    if manifest.sequence > expected:
        raise GapError(f"{came}, expected that of round {(expected + 1) // 2}", f"next: {position.next_command}")
    if manifest.previous != accepted.get(last):
        raise ForkError(
            f"{came}, but it continues another history than the bundle imported last",
            "one side was restored from an old backup, or made its site anew",
        )
    if manifest.answers != sealed.get(expected - 1):
        raise StaleError(
            f"{came}, but it does not answer the bundle that this site sealed last",
            "has the peer imported your newest bundle? is this site's ledger an old backup?",
        )


def check_contents(site: Site, manifest: Manifest) -> None:
    """The agreed model, possible losses, a possible start; all before anything large is copied.

    Raises:
        ModelError: another model.
        MalformedError: a negative loss where the plan's objective has none, or another number of samples in all.
    """
    check_model(manifest.tensors, site.own_identity().layout)
    if site.plan.loss != "own":
        claims = [(f"loss of {c.label}", c.loss) for c in manifest.candidates]
        claims += [] if manifest.start is None else [("claimed global loss", manifest.start.global_loss)]
        for what, loss in claims:
            if loss < 0:
                raise MalformedError(f"the {what} is {loss}, and {site.plan.loss} is never below 0")
    if manifest.start is not None:
        samples = site.own_identity().file.samples + site.peer.file.samples
        if manifest.start.samples != samples:
            raise PeerError(f"the bundle counts {manifest.start.samples} samples on both sides, expected {samples}")


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
def opened(folder: Path, key: PublicKey, digest: str) -> Iterator[tuple[Source, SignedBundle, Manifest]]:
    """A bundle of the inbox or outbox, verified again.

    Yields:
        Source, signed bundle, manifest.

    Raises:
        CorruptError: it is not the one that the ledger names.
    """
    with read.survey(folder) as source:
        signed = read.verify(source, read.claimed_key(source)[0], key)
        source.refuse_damage()
        if signed.digest != digest:
            raise CorruptError(f"'{folder}' is not the bundle that the ledger names", "restore the site from its backup")
        yield source, signed, read.read_manifest(source, signed)
