"""What comes in: verify a bundle from outside in private staging, then, once it was scored, accept it.

Knows bundles, the ledger and the peer; knows no model's meaning. Each step refuses with its own error and leaves inbox
and ledger as they were; one rename and one transaction of the ledger commit it.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from alx import files, order
from alx.bundle import approval, carried, copies, read, request
from alx.bundle.approval import Approval
from alx.bundle.carried import Source
from alx.bundle.closing import Closing
from alx.bundle.copies import Copies
from alx.bundle.frozen import refuse_other
from alx.bundle.layout import bundle_name, check_model, closing_name
from alx.bundle.manifest import MAX_BLENDS, Manifest
from alx.bundle.signature import SIGNATURE_NAME, SignedBundle
from alx.errors import (
    AlxError,
    CorruptError,
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
    UsageError,
    count,
    escape,
)
from alx.plan import Plan
from alx.records import Role
from alx.site import shelf
from alx.site.entries import Accepted, Closed, Selected
from alx.site.position import Position
from alx.site.state import SiteState
from alx.steps import closing as closings

if TYPE_CHECKING:
    from alx.bundle.recipe import Parts


@dataclass(frozen=True)
class Staged:
    """A bundle in private staging, verified to the last byte, and not accepted yet.

    Its states are decoded or made, and checked to the last weight, as they are asked for; `accept` asks for the rest.
    """

    folder: Path
    source: Source
    signed: SignedBundle
    manifest: Manifest
    rebuilt: int
    """Number of files that came out of parity."""
    now: SiteState
    """The site that it is for; its position is that before the bundle is accepted."""
    approvals: tuple[Approval, ...] | None
    """Those of the sender's officers; None where the plan has none."""
    _checked: set[int] = field(default_factory=set)
    _ends: dict[int, bytes] = field(default_factory=dict)

    def states(self, first: int = 0) -> Iterator[tuple[int, memoryview]]:
        """The candidates' flat states from one of them on, each checked before it is given out.

        Args:
            first: the first one wanted; those since the keyframe before it are decoded too.

        Yields:
            Index and flat state, good until the next is asked for.

        Raises:
            PeerError: a weight is not rounded, where the plan has that.
            MalformedError: a blend that travels as its recipe is another model than that gives.
            AlxError: see `read.states` and `shelf.parts`.
        """
        from alx.bundle import codec  # noqa: PLC0415 - numpy, for what is decoded alone

        manifest, weighed = self.manifest, self.manifest.weighed
        begin = manifest.keyframe(first)
        for i, c, flat in read.states(self.source, self.signed, manifest, first=begin) if first < weighed else ():
            if self.now.site.plan.rounds_weights and not codec.is_rounded(flat, manifest.layout):
                raise PeerError(f"{c.label} is not rounded as the plan says", "does the peer keep to the plan?")
            self._checked.add(i)
            if weighed < len(manifest.candidates) and i in (0, len(manifest.snapshots) - 1) and i not in self._ends:
                with read.enough_memory(len(flat)):
                    self._ends[i] = bytes(flat)  # what blends are made of, so that no file is read again for it
            if i >= first:
                yield i, flat
        for i in range(max(first, weighed), len(manifest.candidates)):
            made = self.blend(i)
            self._checked.add(i)
            yield i, memoryview(made)

    def state(self, index: int) -> bytes:
        """One candidate's flat state; see `states`."""
        return next(bytes(flat) for _, flat in self.states(index))

    def blend(self, index: int, averaged: Collection[str] | None = None) -> bytearray:
        """A blend's flat state, made out of `parts`; see `recipe.checked`."""
        from alx.bundle import recipe  # noqa: PLC0415 - as above

        return recipe.checked(self.parts, self.manifest, index, averaged, rounded=self.now.site.plan.rounds_weights)

    @cached_property
    def parts(self) -> "Parts":
        """What blends are made of, held from when it is first asked for; see `shelf.parts`."""
        start, own = (self._ends.get(i) or self.state(i) for i in (0, len(self.manifest.snapshots) - 1))
        return shelf.parts(self.now, self.manifest, start, own)

    def check(self) -> None:
        """Decode or make, and so check, what was not asked for; moments too, which only the turn after asks for."""
        read.moments(self.source, self.signed, self.manifest)
        missing = set(range(len(self.manifest.candidates))) - self._checked
        if missing:
            for i, _ in self.states(min(missing)):
                if i == max(missing):
                    break


@dataclass(frozen=True, slots=True)
class StagedClosing:
    """The closing in private staging, verified to the last byte, and not accepted yet.

    Attributes:
        folder, signed: as of any bundle.
        manifest: what it says.
        closed: the ledger's record of it, without what this site finds itself.
        approvals: as of any bundle.
    """

    folder: Path
    signed: SignedBundle
    manifest: Closing
    closed: Closed
    approvals: tuple[Approval, ...] | None


class Known(NamedTuple):
    """The bundle that was accepted last: its folder in the inbox, and whether it was damaged there, and is good again."""

    folder: Path
    mended: bool


@contextlib.contextmanager
def verified(now: SiteState, paths: Sequence[Path], ask: Path | None = None) -> Iterator[Staged | StagedClosing | Known]:
    """Verify a bundle on a disk, copy it into private staging, and verify the copy to the last byte.

    Args:
        now: this site, locked by the caller.
        paths: the bundle's folder on the disk, and those of other copies, shares or parity: good files of any count.
        ask: where to write a signed request for the files that are bad, if some are.

    Yields:
        What was staged; or, for the bundle that was accepted last, where it is. What lies in the inbox of that one is
        put there anew where it is not whole.

    Raises:
        AlxError: see the order in `docs/format.md`; every step has its class.
    """
    site = now.site
    now.check_agreement()
    with copies.survey(paths, site.secret) as source:
        data, signed = _signature(now, source)
        staging = site.folder / "staging" / signed.digest
        turn = _known(now, signed)
        if turn is not None:
            known = Known(shelf.place(site, turn), mended=not shelf.whole(now, turn))
            if known.mended:
                source.agree(signed, staging)
                _clear_other(staging)
                with _asking(now, source, signed, ask):
                    source.copy(signed, data, staging)
                files.withdraw(known.folder, staging.with_name(turn.bundle))
                files.publish(staging, known.folder)
            yield known
            return
        now.keyring.require_current(signed.signer)
        approvals = _approved(now, source, signed)
        manifest_file = read.manifest_file(signed)
        if read.is_encrypted(signed) != site.plan.encrypt:
            found, agreed = ("plain", "encrypted") if site.plan.encrypt else ("encrypted", "plain")
            raise PeerError(f"the bundle is {found}, expected {agreed} by the plan", "does the peer keep to the plan?")
        source.agree(signed, staging)
        if source.read_signed(manifest_file) is None:
            # who, to whom and which round cannot be told: what else is bad can, and what is good is kept for the repair
            with _asking(now, source, signed, ask):
                source.copy(signed, data, staging)
        said = read.read_closing(source, signed) if read.is_closing(signed) else read.read_manifest(source, signed)
        check_sides(now, said)
        check_turn(now.position, said, signed.digest, now.peer.file.role, site.plan.rounds)
        closed = closings.check(now, said) if isinstance(said, Closing) else None
        if isinstance(said, Manifest):
            check_contents(now, said)
        _clear_other(staging)
        with _asking(now, source, signed, ask):
            source.copy(signed, data, staging)
        rebuilt = source.rebuilt
    with carried.survey(staging, site.secret) as copy:
        signed = read.verify(copy, copy.read(SIGNATURE_NAME, len(data)), signed.signer)
        copy.refuse_damage()
        if isinstance(said, Manifest):
            yield Staged(staging, copy, signed, said, rebuilt, now, approvals)
        elif closed is not None:
            yield StagedClosing(staging, signed, said, closed, approvals)


def _own(now: SiteState, name: str) -> PeerError:
    """That a bundle names one of this site's own keys, and which one is awaited here."""
    site, position = now.site, now.position
    peer = now.peer.file.role
    hint = f"carry it to the {peer}; next here: {position.next_command}"
    if position.step in ("import", "import-closing"):
        digest = site.plan_file.digest
        closes = position.step == "import-closing"
        awaited = closing_name(digest, position.round) if closes else bundle_name(digest, position.round, peer)
        hint = f"carry it to the {peer}; here import the {peer}'s '{awaited}'"
    return PeerError(f"'{escape(name)}' is a bundle of this site's own, the {site.role}'s", hint)


def _signature(now: SiteState, copies: Copies) -> tuple[bytes, SignedBundle]:
    """The bytes of the first `round.sig` that verifies, and what it says; the others either do not, or say the same."""
    ring = now.keyring
    found: list[tuple[Source, bytes, SignedBundle]] = []
    refused: list[AlxError] = []

    def look(source: Source) -> None:
        try:
            data, claimed = read.claimed_key(source)
            if claimed in {k.fingerprint for k in ring.own}:
                raise _own(now, source.path.name)
            found.append((source, data, read.verify_signature(data, ring.of_peer(claimed))))
        except (IncompleteError, TrustError, MalformedError, LimitError, StorageError) as error:
            refused.append(error)  # damage to one copy's signature, where another's verifies

    for source in copies.sources:
        look(source)
    for source in [] if found else copies.spares():
        look(source)
    if not found:
        raise refused[0]
    first, data, signed = found[0]
    for source, _, other in found:
        if other.digest != signed.digest:
            raise UsageError(
                f"'{escape(str(source.path), 200)}' is no copy of '{escape(str(first.path), 200)}', but another bundle: "
                f"digest {other.digest[:16]}…, expected {signed.digest[:16]}…",
                "name copies of one bundle only",
            )
    return data, signed


def _approved(now: SiteState, copies: Copies, signed: SignedBundle) -> tuple[Approval, ...] | None:
    """Of the sender's officers, in the order of their keys, as many as the plan says; None where it has none of theirs."""
    officers = now.site.plan.approvers(now.peer.file.role)
    if officers is None:
        return None
    places = (approval.folder(source.path, signed.name) for source in copies.sources or copies.spares())
    found = approval.collected(dict.fromkeys(places), signed.digest, officers)
    approval.refuse_few(
        len(found), officers, f"ask the peer; they lie in '{signed.name}{approval.SUFFIX}' beside the bundle"
    )
    return tuple(found[officer] for officer in sorted(found))


@contextlib.contextmanager
def _asking(now: SiteState, copies: Copies, signed: SignedBundle, ask: Path | None) -> Iterator[None]:
    """Write down, before a damaged bundle is refused, what the sender would have to bring again."""
    try:
        yield
    except CorruptError as error:
        names = copies.damage.keys() & signed.files.keys()
        if ask is None or not names:
            raise
        if len(names) > request.MAX_NAMES:
            error.hint = f"a request may name {request.MAX_NAMES} files, so none was written: ask for the whole bundle again"
            raise
        try:
            files.replace(ask, request.make(signed.digest, names, now.private_key()), shared=True)
        except AlxError as another:  # what is bad is the news; that no request came of it comes second
            error.hint = f"no request was written: {another.message}" + (f"; {another.hint}" if another.hint else "")
        else:
            error.hint = (
                f"carry '{escape(str(ask), 200)}' to the peer: alx export DISK --only {escape(ask.name)} brings these files"
            )
        raise


def accept(now: SiteState, staged: Staged | StagedClosing, found: Selected | Closed) -> Path:
    """Take a staged bundle in: its folder moves to the inbox, and the ledger says so and what was selected, or closed.

    Args:
        now: this site, locked by the caller.
        staged: what was verified.
        found: the ledger's record of it.

    Returns:
        The bundle's folder in the inbox.
    """
    if isinstance(staged, Staged):
        staged.check()
    accepted = Accepted.of(staged.manifest, staged.signed.digest)
    final = shelf.place(now.site, accepted)
    if staged.approvals is not None:
        accepted = accepted._replace(officers=tuple(each.officer.fingerprint for each in staged.approvals))
        beside = approval.folder(final, final.name)  # a reset gives them back with the bundle
        files.remove_tree(beside)
        files.make_folder(beside)
        files.replace_all({beside / each.name: each.data for each in staged.approvals})
    # left by a command that was killed before the ledger knew of it
    files.withdraw(final, staged.folder.with_name(final.name))
    files.publish(staged.folder, final)
    now.append(accepted, found)
    return final


def _clear_other(staging: Path) -> None:
    """Throw away what an earlier, other bundle left half-copied."""
    with files.storage(staging.parent):
        others = [p for p in staging.parent.iterdir() if p != staging] if staging.parent.is_dir() else []
    for other in others:
        files.remove_tree(other)


def _known(now: SiteState, signed: SignedBundle) -> Accepted | None:
    accepted = now.position.accepted
    for turn in accepted:
        if turn.digest == signed.digest:
            if turn is not accepted[-1]:
                raise RollbackError(
                    f"this is the {turn.what}, which was imported; the last one imported is the {accepted[-1].what}",
                    "import the newest bundle on the disk",
                )
            return turn
    return None


def check_sides(now: SiteState, manifest: Manifest | Closing) -> None:
    """From the peer, to this site, under this plan.

    Raises:
        PeerError: says who and what was expected.
    """
    site, peer, ring = now.site, now.peer, now.keyring
    # sealed before the peer knew of this site's new key, it names the one before
    own = next((k for k in ring.own if k.fingerprint == manifest.receiver.key), ring.own[-1])
    for what, got, expected in (
        ("sender's role", manifest.sender.role, peer.file.role),
        ("sender's key", manifest.sender.key, ring.peer[-1].fingerprint),
        ("receiver's role", manifest.receiver.role, site.role),
        ("receiver's key", manifest.receiver.key, own.fingerprint),
        ("plan", manifest.plan, site.plan_file.digest),
        ("sender's sample count", str(manifest.samples), str(peer.file.samples)),
    ):
        if got != expected:
            raise PeerError(
                f"the bundle's {what} is {escape(got, 16)}, expected {escape(expected, 16)}",
                "is it meant for this site and this plan?",
            )


def check_turn(position: Position, manifest: Manifest | Closing, digest: str, role: Role, rounds: int) -> None:
    """The next bundle of the peer within the plan's rounds, or the closing after them; an answer to this site's last one.

    Raises:
        RollbackError, ForkError, GapError, StaleError: say which round was expected and which came.
    """
    accepted = {turn.sequence: turn.digest for turn in position.accepted}
    sealed = {turn.sequence: turn.digest for turn in position.sealed}
    last = max(accepted, default=0)
    expected = order.sequence(role, order.round_of(last) + 1)
    closing = isinstance(manifest, Closing)
    came = f"this is the {role}'s {'closing after' if closing else 'bundle of'} round {manifest.round}"
    next_ = f"next: {position.next_command}"
    if manifest.round > rounds or (closing and manifest.round != rounds):
        raise GapError(f"{came}, and the plan has {count(rounds, 'round')}", next_)
    if manifest.sequence in accepted and accepted[manifest.sequence] != digest:
        raise ForkError(
            f"{came}, and a different one of that round was imported before: the peer has sealed the round twice",
            _restored(manifest)
            or "stop here and ask the peer: alx audit prints each one's digest, and two with a valid signature prove it",
        )
    if manifest.sequence < expected:
        raise RollbackError(f"{came}, expected that of round {order.round_of(expected)}", "import the newest bundle")
    if manifest.sequence > expected:
        which = "the bundle" if closing else "that"
        raise GapError(f"{came}, expected {which} of round {order.round_of(expected)}", next_)
    if manifest.previous != accepted.get(last):
        raise ForkError(
            f"{came}, but it continues another history than the bundle imported last",
            _restored(manifest) or "one side was restored from an old backup, or made its site anew",
        )
    if manifest.answers != sealed.get(expected - 1):
        raise StaleError(
            f"{came}, but it does not answer the bundle that this site sealed last",
            "has the peer imported your newest bundle? is this site's ledger an old backup?",
        )


def _restored(manifest: Manifest | Closing) -> str:
    """What to do about a fork whose sender says that its site was restored, or nothing."""
    told = None if isinstance(manifest, Closing) else manifest.restoration
    if told is None:
        return ""
    return (
        f"the peer says that its site was restored at {escape(told.at)}, to round {told.round}: do not take this bundle; "
        "docs/keys.md says how its site is brought up to date first, from the disks"
    )


def _last_step(now: SiteState, steps: int) -> int:
    """That of the bundle that this site sealed last: a turn of so many steps, which validation may have ended before."""
    if now.site.plan.training.patience is None or not now.position.sealed:
        return steps
    with shelf.opened(now, now.position.sealed[-1]) as bundle:
        return bundle.manifest.last_step


def check_spending(plan: Plan, manifest: Manifest) -> None:
    """What the sender says of its privacy budget is there where the plan has one, and within it.

    Raises:
        PeerError: it is not.
    """
    said, agreed = manifest.spending, plan.privacy
    hint = "does the peer keep to the plan?"
    if (said is None) != (agreed is None):
        got, expected = ("says nothing of", "[privacy]") if said is None else ("tells of", "no [privacy]")
        raise PeerError(f"the bundle {got} a privacy budget, and the plan has {expected}", hint)
    if said is not None and agreed is not None and (said.epsilon > agreed.epsilon or said.delta != agreed.delta):
        raise PeerError(
            f"the sender has spent epsilon {said.epsilon:.4g} at delta {said.delta:g}, and the plan allows "
            f"{agreed.epsilon:g} at {agreed.delta:g}",
            hint,
        )


def check_ridge(plan: Plan, manifest: Manifest) -> None:
    """Moments come with the learner's first bundle where the plan has them, and a layer that is solved for in no other plan.

    Raises:
        PeerError: it is otherwise.
    """
    expected = plan.ridge is not None and manifest.sequence == 1
    if (manifest.told is not None) != expected or (manifest.solves and plan.ridge is None):
        what = "a layer that was solved for" if manifest.solves else "moments of the sender's samples"
        has, agreed = ("has no", "has ridge") if expected else ("has", "has none in this turn")
        raise PeerError(f"the bundle {has} {what}, and the plan {agreed}", "does the peer keep to the plan?")


def check_contents(now: SiteState, manifest: Manifest) -> None:
    """The agreed model, the plan's steps, possible losses, a possible start; all before anything large is copied.

    Raises:
        ModelError: another model, or other frozen weights.
        PeerError: see `check_spending` and `check_ridge`; snapshots of other steps, or blends, that the plan does not have;
            blends with another step of ours than the last; another number of samples in all.
        MalformedError: a negative loss where the plan's objective has none.
    """
    site = now.site
    check_spending(site.plan, manifest)
    check_model(manifest.tensors, now.own.layout)
    check_ridge(site.plan, manifest)
    refuse_other(manifest.stays, now.own.file.frozen, "the bundle's")
    own, peer = now.own.file.samples, now.peer.file.samples
    steps, sender = [c.step for c in manifest.snapshots], manifest.sender.role
    expected = site.plan.schedule(sender, peer, own)
    if site.plan.ends_early(expected[-1], manifest.last_step):
        expected = site.plan.schedule(sender, peer, own, manifest.last_step)
    if steps != expected:
        raise PeerError(
            f"{len(steps)} snapshots up to step {steps[-1]}, expected {len(expected)} up to {expected[-1]} by the plan",
            "does the peer keep to the plan?",
        )
    blends = manifest.blends
    if blends > (MAX_BLENDS if site.plan.candidates == "blended" else 0):
        raise PeerError(f"{count(blends, 'blend')}, more than the plan allows", "does the peer keep to the plan?")
    ours = _last_step(now, site.plan.steps(site.role, own, peer)) if blends else 0
    for c in manifest.candidates:
        if c.blend is not None and c.blend.peer_step != ours:
            raise PeerError(
                f"{c.label} is said to be of step {c.blend.peer_step} of our bundle, whose last is {ours}",
                "does the peer keep to the plan?",
            )
    if site.plan.loss != "own":
        claims = [(f"loss of {c.label}", c.loss) for c in manifest.candidates]
        claims += [] if manifest.start is None else [("claimed global loss", manifest.start.global_loss)]
        for what, loss in claims:
            if loss < 0:
                raise MalformedError(f"the {what} is {loss}, and {site.plan.loss} is never below 0")
    if manifest.start is not None and manifest.start.samples != own + peer:
        raise PeerError(f"the bundle counts {count(manifest.start.samples, 'sample')} on both sides, expected {own + peer}")
