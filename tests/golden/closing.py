"""Make the golden closing of version 1, once, when it is released.

    python -m tests.golden.closing FOLDER      tests/golden/closing-v1 was made so

Two small sites play two rounds, and the learner closes. What is kept: the closing as it was carried, the sender's public
key, and what a reader must find in it.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from alx import audit
from alx.bundle import keys
from tests.conftest import PLAN, make_world, pair_world


def found(folder: Path) -> dict[str, object]:
    """What a reader finds in it, after it was verified whole."""
    (bundle,) = folder.glob("alx-*")
    report = audit.bundle(bundle, [keys.load_public(folder / "sender.pem")])
    return {"digest": report.digest, "signer": report.signer.fingerprint, "says": report.manifest.model_dump()}


def main(folder: Path) -> None:
    """Play, and keep what was carried last."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as root:
        world = pair_world(make_world(Path(root) / "world", PLAN))
        for sender, receiver in (("learner", "provider"), ("provider", "learner")) * 2:
            assert world.take(receiver, world.turn(sender)) == 0
        closing = world.close()
        assert world.take("provider", closing) == 0
        shutil.copytree(closing, folder / closing.name)
        shutil.copy(world.folder("learner") / "public.pem", folder / "sender.pem")
    (folder / "found.json").write_text(json.dumps(found(folder), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
