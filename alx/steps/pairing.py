"""Pairing: the peer's identity is compared with one's own, and pinned.

Knows two identities and the plan; what the people at both ends compared is their words.
"""

from typing import get_args

from alx import files, plan
from alx.bundle import age, identity, layout, manifest
from alx.bundle.frozen import refuse_other
from alx.bundle.identity import Identity
from alx.errors import ConfigError, PeerError, TurnError
from alx.records import Role
from alx.site import keyring
from alx.site.entries import Paired
from alx.site.state import SiteState
from alx.steps import disclosure


def pair(now: SiteState, peer: Identity) -> None:
    """Pin the peer, or put the pinned one's file back. The caller has shown the words to a person who compared them.

    Killed at any point, the peer of before is pinned, or this one; see `keyring.settle`.

    Args:
        now: this site, locked by the caller; it has an identity file already.
        peer: as it introduces itself.

    Raises:
        PeerError: the same role, the site's own file, another plan, other code, another loss; fewer samples than the plan's
            least.
        ConfigError: this site has fewer than its own.
        ModelError: another model, or other frozen weights.
        TurnError: bundles were exchanged with another peer already.
    """
    check_peer(now, peer)
    folder, pinned = now.site.folder, now.pairing is not None and now.pairing.identity == peer.digest
    if not pinned and (now.position.sealed or now.position.accepted):
        raise TurnError("this site has exchanged bundles with another peer already", "make a new site for a new peer")
    keyring.clear(folder)
    files.replace(keyring.next_peer(folder, peer.digest), peer.data)
    if not pinned:
        now.append(Paired.of(peer, now.own))
    keyring.settle(folder, now.keyring, now.pairing)


def check_peer(now: SiteState, peer: Identity) -> None:
    """Compare a peer's identity with this site's plan, code and model; see `pair`."""
    site, own = now.site, now.own
    if peer.key.fingerprint == own.key.fingerprint:
        raise PeerError("this is the site's own identity file", "pair with the peer's")
    if peer.file.role == site.role:
        raise PeerError(f"the peer is a {peer.file.role} too", f"one site has to be made with --role {_other(site.role)}")
    if peer.plan_file.digest != site.plan_file.digest:
        told = plan.differences(site.plan, peer.plan_file.plan)
        what = "; ".join(told) if told else "the same values in other bytes (comments, spaces or line ends)"
        raise PeerError(f"the peer's plan is another one: {what}", "make both sites from the same file")
    if peer.file.code != site.code_digest:
        raise PeerError("the model's source file differs on the two sides", "make both sites from the same file")
    if peer.file.recipient is not None:
        age.check_recipient(peer.file.recipient)
    layout.check_model(peer.file.tensors, own.layout)
    refuse_other(peer.file.frozen, own.file.frozen, "the peer's")
    if None not in (own.file.inputs, peer.file.inputs) and own.file.inputs != peer.file.inputs:
        raise PeerError(
            f"the peer's samples are {peer.file.inputs}, and ours {own.file.inputs}",
            "the same sample would be another input there; store both alike: pixels as uint8, say, and [images] in the plan",
        )
    disclosure.refuse_few(site, own.file.samples, disclosure.SUMMED)
    disclosure.refuse_few_peers(site.plan.least, peer.file.samples)
    odd = identity.differ(own.file.objective, peer.file.objective)
    if odd:
        raise PeerError(
            f"the peer's loss is another one: {odd}",
            "losses are added up, so both sides need the same; its constants go into the plan: [objective], [settings]",
        )
    for role, samples, others in (
        (site.role, own.file.samples, peer.file.samples),
        (peer.file.role, peer.file.samples, own.file.samples),
    ):
        steps = site.plan.steps(role, samples, others)
        snapshots = steps // site.plan.period(steps) + 2
        if snapshots + manifest.MAX_BLENDS > manifest.MAX_CANDIDATES or snapshots * own.layout.parts > layout.MAX_FILES:
            raise ConfigError(
                f"a turn of the {role} would have {snapshots} snapshots of {own.layout.parts} files each, and up to "
                f"{manifest.MAX_BLENDS} blends; a bundle holds {manifest.MAX_CANDIDATES}, and {layout.MAX_FILES} files",
                "lengthen sampling_period in the plan, on both sides",
            )


def _other(role: Role) -> Role:
    return next(r for r in get_args(Role) if r != role)
