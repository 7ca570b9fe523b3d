"""The bundles that lie in a site: those it sealed, those it accepted; each is verified again whenever it is opened.

Knows bundles and the ledger's entries; knows no model's meaning. A blend that came as its recipe is made here, out of
its own bundle and the two before it.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from alx.bundle import carried, read
from alx.bundle.carried import Source
from alx.bundle.manifest import Manifest, Version4
from alx.bundle.signature import SignedBundle
from alx.errors import AlxError, CorruptError, ForkError, escape
from alx.site.entries import Sealed, Turn
from alx.site.site import Site
from alx.site.state import SiteState

if TYPE_CHECKING:
    from alx.bundle.recipe import Parts


@dataclass(frozen=True)
class Opened:
    """A bundle of the site's, verified: signature, and every file's name, size and digest."""

    folder: Path
    source: Source
    signed: SignedBundle
    manifest: Manifest
    now: SiteState

    def state(self, index: int) -> bytes:
        """One candidate's flat state, decoded or made; see `read.state`, `parts` and `recipe.checked`."""
        if self.manifest.candidates[index].files:
            return read.state(self.source, self.signed, self.manifest, index)
        from alx.bundle import recipe  # noqa: PLC0415 - numpy, for what is made alone

        return bytes(recipe.checked(self._parts, self.manifest, index, rounded=self.now.site.plan.rounds_weights))

    @cached_property
    def _parts(self) -> "Parts":
        return parts(self.now, self.manifest, self.state(0), self.state(len(self.manifest.snapshots) - 1))


def place(site: Site, turn: Turn) -> Path:
    """Where a bundle of the site lies: in the outbox if it was sealed here, in the inbox if it was accepted."""
    return (site.outbox if isinstance(turn, Sealed) else site.inbox) / turn.bundle


@contextlib.contextmanager
def opened(now: SiteState, turn: Turn) -> Iterator[Opened]:
    """A bundle of the inbox or outbox, verified again.

    Args:
        now: this site.
        turn: what the ledger says of it.

    Raises:
        CorruptError: see `verified`.
    """
    with verified(now, turn) as (source, _, signed):
        yield Opened(source.path, source, signed, read.read_manifest(source, signed), now)


@contextlib.contextmanager
def verified(now: SiteState, turn: Turn) -> Iterator[tuple[Source, bytes, SignedBundle]]:
    """A bundle of the inbox or outbox, or the closing there: its signature is good, and its files' names and sizes.

    Args:
        now: this site.
        turn: what the ledger says of it.

    Yields:
        Its folder, the bytes of `round.sig`, and what they say.

    Raises:
        CorruptError: it is gone, damaged, or not the one that the ledger names.
    """
    folder = place(now.site, turn)
    with contextlib.ExitStack() as stack:
        try:
            if not folder.is_dir():
                raise CorruptError("it is gone")
            source = stack.enter_context(carried.survey(folder, now.site.secret))
            data, _ = read.claimed_key(source)
            signed = read.verify(source, data, now.keyring.signers[turn.digest])
            source.refuse_damage()
            if signed.digest != turn.digest:
                raise CorruptError("it is another one than the ledger names")
        except AlxError as error:
            raise CorruptError(f"the site's own '{escape(str(folder), 200)}': {error.message}", carried.AT_HOME) from error
        source.remedy = f"it lies in '{escape(str(folder), 200)}': {carried.AT_HOME}"
        yield source, data, signed


def put_back(now: SiteState, made: Manifest) -> str | None:
    """The digest of the bundle that a restored site had handed over, where a person put it back and this turn gave it again.

    What is told of a restoration is no part of a turn: a turn of the same states and losses, to the bit, is that bundle.

    Args:
        now: this site.
        made: what the turn gave.

    Returns:
        None where nothing lies there, or what does is of this very turn, left by a kill.

    Raises:
        CorruptError: what lies there is not whole, or not this site's.
        ForkError: this turn gave another bundle.
    """
    folder = now.site.outbox / made.name()
    if not isinstance(made, Version4) or made.restored is None or not os.path.lexists(folder):
        return None
    where = escape(str(folder), 200)
    try:
        with carried.survey(folder, now.site.secret) as source:
            signed = read.verify(source, read.claimed_key(source)[0], now.public_key)
            source.refuse_damage()
            there = read.read_manifest(source, signed)
            for f in signed.files.values():
                source.read_signed(f)
            source.refuse_damage()
    except AlxError as error:  # a kill leaves none that is not whole: somebody put it there
        hint = "put a good copy there of what was handed over, or remove it where nothing was"
        raise CorruptError(f"'{where}' was put there, and cannot be used: {error.message}", hint) from error
    if isinstance(there, Version4) and there.restored == made.restored:
        return None
    if isinstance(there, Version4) and there.model_copy(update={"restored": made.restored}) == made:
        return signed.digest
    raise ForkError(
        f"training gave another bundle than '{where}', which was put back there; the peer takes no second one",
        "docs/keys.md says how a site goes on that was restored from an old backup",
    )


def whole(now: SiteState, turn: Turn) -> bool:
    """Whether a bundle of the site is as it was signed, to the last byte."""
    try:
        with verified(now, turn) as (source, _, signed):
            return all(source.read_signed(f) is not None for f in signed.files.values())
    except CorruptError:
        return False


def parts(now: SiteState, manifest: Manifest, start: bytes, own: bytes) -> "Parts":
    """What the blends of a bundle are made of: two states of its own, and one each of the two bundles before it.

    Args:
        now: a site that has both of them: its sender, or its receiver.
        manifest: the bundle's.
        start: its candidate of step 0.
        own: its last snapshot.

    Raises:
        CorruptError: one of the two is gone, or not the one that the ledger names.
        LimitError: there is no memory for the four.
    """
    from alx.bundle import recipe  # noqa: PLC0415 - as above

    read.require_memory(len(start), read.STATES_HELD + recipe.STATES_HELD)
    turns = {turn.digest: turn for turn in (*now.position.sealed, *now.position.accepted)}

    def other(digest: str | None, *, last: bool) -> bytes:
        try:
            if digest not in turns:
                raise CorruptError("the ledger names no such bundle", "restore the site from its backup")
            with opened(now, turns[digest]) as bundle:
                return bundle.state(len(bundle.manifest.snapshots) - 1 if last else 0)
        except AlxError as error:
            raise error.within(f"the blends of '{manifest.name()}' are made of bundle {str(digest)[:16]}…") from error

    before = start if manifest.previous is None else other(manifest.previous, last=False)
    return recipe.Parts(start, own, other(manifest.answers, last=True), before)
