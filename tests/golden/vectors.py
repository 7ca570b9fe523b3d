"""Make three more vectors of format version 1, once: rounded words, encryption, and a state of two parts with mixed dtypes.

    python -m tests.golden.vectors FOLDER      tests/golden/more was made so

Each is a folder with one bundle, the sender's public key, found.json as in v1, and for `encrypted` the receiver's age key,
which was made for this and opens nothing else.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from alx import audit
from alx.bundle import keys, write
from alx.bundle.keys import PublicKey
from alx.bundle.layout import Layout, Tensor, layout_order, part_name
from alx.bundle.manifest import Candidate, Manifest, Party
from tests.conftest import PLAN, make_world, pair_world

MIXED = (
    ("a", "F64", [1_000_003]),
    ("b", "F32", [2_200_001]),
    ("c", "BF16", [7]),
    ("d", "I16", [3]),
    ("e", "F16", [2, 2]),
    ("f", "U8", [5]),
    ("g", "BOOL", [4]),
    ("h", "I64", []),
    ("i", "C64", [3]),
    ("j", "F32", [0, 4]),
)
SPARSE = 300  # bytes in a part that are not zero, so that 18 MB are a few kB on a disk
PLAN_DIGEST = "5c" * 32


def played(folder: Path, change: str) -> None:
    """The learner's first bundle under a plan with one line more."""
    with tempfile.TemporaryDirectory() as root:
        world = pair_world(make_world(Path(root) / "world", PLAN.replace("seed = 3", f"seed = 3\n{change}")))
        bundle = world.turn("learner")
        shutil.copytree(bundle, folder / bundle.name)
        shutil.copy(world.folder("learner") / "public.pem", folder / "sender.pem")
        if "encrypt" in change:
            shutil.copy(world.folder("provider") / "age.key", folder / "receiver-age.key")


def states(layout: Layout) -> list[bytes]:
    """Three states, almost all zero, every float finite."""
    rng, out = np.random.default_rng(0), []
    for _ in range(3):
        state = np.zeros(layout.nbytes, np.uint8)
        for tensor, a, b in layout.spans():
            where = rng.integers(a, max(b, a + 1), min(SPARSE, b - a))
            state[where] = rng.integers(0, 2 if tensor.dtype == "BOOL" else 64, len(where), np.uint8)
        out.append(state.tobytes())
    return out


def mixed(folder: Path) -> None:
    """Sealed without a site."""
    layout = Layout(tuple(layout_order(Tensor(name=n, dtype=d, shape=s) for n, d, s in MIXED)))
    assert layout.parts == 2
    key, bundle = keys.generate(), folder / f"alx-{PLAN_DIGEST[:8]}-r001-learner"
    public = PublicKey(key.public_key())
    data, candidates = [], []
    for i, made in enumerate(write.candidates(bundle, states(layout), layout)):
        data += made.files
        files = [part_name(i, part) for part in range(layout.parts)]
        candidates.append(Candidate(step=i * 5, loss=10.0 / (i + 1), state=made.state, keyframe=made.keyframe, files=files))
    said = Manifest(
        format="alx-bundle",
        version=1,
        sender=Party(role="learner", key=public.fingerprint),
        plan=PLAN_DIGEST,
        receiver=Party(role="provider", key="0" * 64),
        round=1,
        sequence=1,
        previous=None,
        answers=None,
        start=None,
        samples=9,
        tensors=list(layout.tensors),
        candidates=candidates,
    )
    write.seal(bundle, said, data, key)
    (folder / "sender.pem").write_text(public.pem)


def found(folder: Path) -> dict[str, object]:
    """What a reader finds in a vector, after it was verified whole."""
    (bundle,), secret = folder.glob("alx-*"), folder / "receiver-age.key"
    secret_key = secret.read_text().strip() if secret.is_file() else None
    report = audit.bundle(bundle, [keys.load_public(folder / "sender.pem")], secret_key)
    candidates = [{"label": c.label, "loss": c.loss, "state": c.state} for c in report.manifest.candidates]
    return {"digest": report.digest, "signer": report.signer.fingerprint, "candidates": candidates}


def main(root: Path) -> None:
    """All three."""
    for name, make in (
        ("bfloat16", lambda folder: played(folder, 'rounding = "bfloat16"')),
        ("encrypted", lambda folder: played(folder, "encrypt = true")),
        ("two-parts", mixed),
    ):
        folder = root / name
        folder.mkdir(parents=True)
        make(folder)
        (folder / "found.json").write_text(json.dumps(found(folder), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
