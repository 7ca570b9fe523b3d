"""The closing of an exchange: the learner seals its last selection, the provider checks it; then both have one model.

Knows bundles and the ledger; knows no model's meaning. It is sealed and taken in like a bundle, but holds no weights: the
provider has the model already, and is told which it is.
"""

from alx import files, order
from alx.bundle import write
from alx.bundle.closing import Closing
from alx.bundle.manifest import Party, Start
from alx.errors import MalformedError, PeerError, count
from alx.site import shelf
from alx.site.entries import Closed, Sealed
from alx.site.state import SiteState
from alx.steps import disclosure, receipts

WORK = "work"  # of the site's folder: where a bundle is put together


def sealed(now: SiteState) -> Sealed:
    """The closing in the learner's outbox: sealed now, unless it was. Killed at any point, the same call goes on.

    Args:
        now: the learner's site, locked by the caller, after its last selection.

    Raises:
        TrustError, UsageError: see `SiteState.private_key`.
        ConfigError: see `disclosure.refuse_few`.
        CorruptError: the bundle that was chosen from is gone, or not the one that the ledger names.
        SpaceError, StorageError: see `files.storage`.
    """
    if now.position.step == "export-closing":
        _seal(now)
    files.remove_tree(now.site.folder / WORK)
    return now.position.sealed[-1]


def _seal(now: SiteState) -> None:
    site, position = now.site, now.position
    now.check_agreement()
    disclosure.refuse_few(site, now.own.file.samples, disclosure.SUMMED)
    key = now.private_key()
    chosen, answered = position.selected[-1], position.accepted[-1]
    with shelf.opened(now, answered) as bundle:
        state = bundle.manifest.candidates[chosen.index].state
    said = Closing(
        format="alx-closing",
        version=1,
        sender=Party(role=site.role, key=now.public_key.fingerprint),
        receiver=Party(role=now.peer.file.role, key=now.peer_key.fingerprint),
        plan=site.plan_file.digest,
        round=chosen.round,
        sequence=order.closing(chosen.round),
        previous=position.sealed[-1].digest,
        answers=answered.digest,
        start=Start(candidate=chosen.index, global_loss=chosen.global_loss, samples=chosen.samples),
        samples=now.own.file.samples,
        state=state,
    )
    work = site.folder / WORK
    files.remove_tree(work)  # of a turn, or of a command that was killed
    files.make_folder(work / "bundle")
    made = Sealed.of(said, write.seal(work / "bundle", said, [], key, now.recipients))
    final = shelf.place(site, made)
    # left by a command that was killed before the ledger knew of it
    files.withdraw(final, work / "withdrawn")
    files.publish(work / "bundle", final)
    receipts.keep(now, key)
    closed = Closed.of(said, chosen.label)._replace(scored=chosen.scored, held_out=chosen.held_out, metrics=chosen.metrics)
    now.append(made, closed)


def check(now: SiteState, closing: Closing) -> Closed:
    """A candidate that this site sent last, bit for bit, and a loss that can be.

    Args:
        now: the provider's site, before the closing is accepted.
        closing: signed by the peer, and an answer to what this site sealed last.

    Returns:
        The ledger's record of it, without what this site finds itself.

    Raises:
        PeerError: another number of samples in all.
        MalformedError: no candidate of that number, or another model; a loss that is less than this site's own part of it.
    """
    site, start = now.site, closing.start
    own, peer = now.own.file.samples, now.peer.file.samples
    if start.samples != own + peer:
        raise PeerError(f"the closing counts {count(start.samples, 'sample')} on both sides, expected {own + peer}")
    with shelf.opened(now, now.position.sealed[-1]) as mine:
        offered = mine.manifest.candidates
    if start.candidate >= len(offered):
        raise MalformedError(f"the closing names candidate {start.candidate}, and our bundle has {len(offered)}")
    chosen = offered[start.candidate]
    if closing.state != chosen.state:
        raise MalformedError(
            f"the closing says that {chosen.label} of our bundle is the model {closing.state[:16]}…, "
            f"expected {chosen.state[:16]}…",
            "the two sites would end with different models: ask the peer",
        )
    if site.plan.loss != "own" and start.global_loss < chosen.loss:  # a rounded sum is not below either of its parts
        raise MalformedError(
            f"the claimed global loss of {chosen.label} is {start.global_loss}, less than our own part, {chosen.loss}, "
            f"and {site.plan.loss} is never below 0"
        )
    return Closed.of(closing, chosen.label)
