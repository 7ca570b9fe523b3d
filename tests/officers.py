"""Three officers of the learner's, two of whom have to approve what it hands over."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from alx.bundle import approval, keys
from alx.bundle.approval import Approval
from alx.cli.main import run

if TYPE_CHECKING:  # it makes their world
    from tests.conftest import World
    from tests.forge import Forge

KEYS = [keys.generate() for _ in range(3)]


def fingerprint(key: ec.EllipticCurvePrivateKey) -> str:
    return keys.PublicKey(key.public_key()).fingerprint


NAMED = f"[officers.learner]\nthreshold = 2\nkeys = {json.dumps([fingerprint(k) for k in KEYS])}\n"
"""What a plan says of them."""


def outbox(world: "World") -> Path:
    """The bundle that they have to approve."""
    (bundle,) = world.site("learner").outbox.glob("alx-*-learner")
    return bundle


def approve(world: "World", *who: ec.EllipticCurvePrivateKey) -> None:
    """Approve it with some keys, as an officer does."""
    for i, key in enumerate(who):
        path = world.root / f"officer{i}.pem"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_bytes(keys.private_pem(key))
        words = ["approve", str(outbox(world)), "--key", str(path), "--from", str(world.folder("learner") / "public.pem")]
        assert run([*words, "--yes"]) == 0


def beside(bundle: Path) -> Path:
    """Where the approvals of a bundle lie."""
    return approval.folder(bundle, bundle.name)


def file(forge: "Forge", officer: int) -> Path:
    """The file of an officer's approval on the disk."""
    return beside(forge.bundle) / f"{fingerprint(KEYS[officer])}.json"


def made(forge: "Forge", key: ec.EllipticCurvePrivateKey, bundle: str | None = None) -> Approval:
    """Somebody's approval of the bundle on the disk, or of another digest, put beside it under its own name."""
    said = approval.make(forge.world.state("learner").position.sealed[-1].digest if bundle is None else bundle, key)
    (beside(forge.bundle) / said.name).write_bytes(said.data)
    return said
