"""Rotation: a site's key is replaced by a new one, and the peer pins the new one in the place of the old.

Knows both sites' keys and where the exchange stands; what the people at both ends compared is the new key's words. The
order of writing makes every moment safe: the new key and the rotation lie there before the ledger says that they count,
and only then does the new key take the old one's place (`keyring.settle`, at the next use where this was killed).
"""

from alx import files
from alx.bundle import keys, rotation
from alx.bundle.rotation import Rotation
from alx.errors import PeerError, RollbackError, TrustError, TurnError
from alx.site import keyring
from alx.site.entries import PeerRotated, Rotated, Sealed
from alx.site.position import Position
from alx.site.site import Site
from alx.site.state import SiteState


def rotate(now: SiteState) -> tuple[Rotation, bool]:
    """Replace this site's private key by a new one, with the same passphrase if it has one.

    Asked again before anything was sealed with the new key, it gives the same rotation: the file was lost, or killed.

    Args:
        now: this site, locked by the caller.

    Returns:
        The rotation for the peer, and whether it was made before.

    Raises:
        TurnError: a bundle that the old key signed is on its way, or nobody pinned that key.
        UsageError, TrustError: see `keys.load_private`.
    """
    site = now.site
    last = next((e for e in reversed(now.entries) if isinstance(e.record, Rotated | Sealed)), None)
    if last is not None and isinstance(last.record, Rotated):
        return keyring.read_rotation(site.folder, now.keyring.own[-2], last), True
    _check_turn(now.position)
    now.check_agreement()
    given: list[bytes] = []

    def remember() -> bytes:
        given.append(keys.ask(site.unlock, site.folder / keyring.KEY_NAME))
        return given[0]

    old, new = now.private_key(remember), keys.generate()
    made = rotation.make(site.plan_file.digest, site.role, old, new)
    keyring.clear(site.folder)
    files.replace(keyring.next_path(site.folder, made.new), keys.private_pem(new, given[-1] if given else None))
    _put(site, made)
    now.append(Rotated.of(made))
    keyring.settle(site.folder, now.keyring, now.pairing)
    return made, False


def _check_turn(position: Position) -> None:
    if position.step == "pair":
        raise TurnError("no peer has pinned this site's key yet", "make a new site, which has a new key")
    if position.step == "done":
        raise TurnError("the exchange is done: this key signs nothing any more", "a new exchange begins with alx init")
    if position.step in ("train", "export-closing") or not position.sealed:
        return
    where = "waits in the outbox" if position.step == "export" else "is on its way"
    raise TurnError(
        f"the {position.sealed[-1].what}, signed with the present key, {where}",
        "rotate once the peer's answer to it was imported; if the key was stolen, tell the peer at once to import nothing "
        "more, and make new sites on both sides",
    )


def check(now: SiteState, data: bytes) -> tuple[Rotation, bool]:
    """Verify a peer's rotation with the key that is pinned.

    Args:
        now: this site.
        data: the rotation file.

    Returns:
        The rotation, and whether it was accepted already.

    Raises:
        LimitError, MalformedError: not a rotation file.
        TrustError: not signed by the pinned key and by the new one; the new key is one that was used before.
        PeerError: a rotation of this site's own, or under another plan.
        RollbackError: it replaces a key that was replaced already.
        TurnError: no peer is pinned.
    """
    site, peer, ring = now.site, now.peer, now.keyring
    claimed = rotation.claimed_keys(data)
    if claimed[0] in {k.fingerprint for k in ring.own}:
        raise PeerError("this is a rotation of the site's own key", "carry it to the peer, who runs alx key accept")
    got = rotation.verify(data, ring.of_peer(claimed[0]))
    for what, told, expected in (("role", got.file.role, peer.file.role), ("plan", got.file.plan, site.plan_file.digest)):
        if told != expected:
            raise PeerError(f"the rotation's {what} is {told[:16]}, expected {expected[:16]}")
    if got.new.fingerprint == ring.peer[-1].fingerprint and got.old.fingerprint == ring.peer[-2].fingerprint:
        return got, True
    if got.old.fingerprint != ring.peer[-1].fingerprint:
        raise RollbackError(
            f"this rotation replaces the key {got.old.fingerprint[:16]}…, which was replaced before",
            "is it an old file? ask the peer for the newest",
        )
    if got.new.fingerprint in {k.fingerprint for k in (*ring.peer, *ring.own)}:
        raise TrustError(f"the rotation's new key {got.new.fingerprint[:16]}… was used before", "ask the peer who made it")
    return got, False


def accept(now: SiteState, data: bytes) -> Rotation:
    """Pin the peer's new key. The caller has shown the new key's words to a person who compared them.

    Args:
        now: this site, locked by the caller.
        data: the rotation file.

    Raises:
        AlxError: see `check`.
    """
    got, again = check(now, data)
    if not again:
        _put(now.site, got)
        now.append(PeerRotated.of(got))
    files.replace(now.site.folder / keyring.PEER_KEY_NAME, got.new.pem.encode("ascii"))
    return got


def _put(site: Site, made: Rotation) -> None:
    path = keyring.rotation_path(site.folder, made.old)
    files.make_folder(path.parent)
    files.replace(path, made.data)
