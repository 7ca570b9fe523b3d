"""Make the golden bundles of a format version, once, when it is released: never again for a version that is out.

    python -m tests.golden.make FOLDER      tests/golden/v1 was made so

Two small sites play two rounds. What is kept: the four bundles as they were carried, both public keys, and what a reader
must find in them (the bundle's digest, each candidate's label, loss and the SHA-256 of its state).
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from alx import audit
from alx.bundle import keys
from tests.conftest import World, make_world, pair_world


def found(bundle: Path, key: Path) -> dict[str, object]:
    """What a reader finds in a bundle, after it was verified whole."""
    report = audit.bundle(bundle, [keys.load_public(key)])
    candidates = [{"label": c.label, "loss": c.loss, "state": c.state} for c in report.manifest.candidates]
    return {"digest": report.digest, "signer": report.signer.fingerprint, "candidates": candidates}


def play(root: Path) -> World:
    """Two rounds; all four bundles are on the disk."""
    world = pair_world(make_world(root))
    for sender, receiver in (("learner", "provider"), ("provider", "learner")) * 2:
        assert world.take(receiver, world.turn(sender)) == 0
    return world


def main(folder: Path) -> None:
    """Play, and keep what was carried."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as root:
        world = play(Path(root) / "world")
        told = {}
        for role in ("learner", "provider"):
            shutil.copy(world.folder(role) / "public.pem", folder / f"{role}.pem")
        for bundle in sorted(world.disk.glob("alx-*")):
            shutil.copytree(bundle, folder / bundle.name)
            told[bundle.name] = found(bundle, folder / f"{bundle.name.rsplit('-', 1)[1]}.pem")
    (folder / "found.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
