"""Seal snapshots of noise and open them again, in a process that has nothing else to do, and say what memory each took.

    python -m tests.sealing FOLDER BYTES SNAPSHOTS

Prints a JSON object: bytes of resident memory, at most, above those that the process had before. Loads no torch.
"""

import contextlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from alx.bundle import carried, keys, read, write
from alx.bundle.keys import PublicKey
from alx.bundle.layout import Layout, Tensor, part_name
from alx.bundle.manifest import Candidate, Manifest, Party
from tests.limited import status


def sealing(folder: Path, size: int, snapshots: int) -> dict[str, int]:
    """Run this module as a command; what it prints."""
    words = [sys.executable, "-m", "tests.sealing", str(folder), str(size), str(snapshots)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return json.loads(done.stdout)


def peak(job) -> int:
    """Bytes taken at most while it runs."""
    with contextlib.suppress(OSError):  # forgets the peak of before; where it cannot, that counts too
        Path("/proc/self/clear_refs").write_text("5")
    born = status("VmRSS")
    job()
    return status("VmHWM") - born


def main(folder: Path, size: int, snapshots: int) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        (folder / name).write_bytes(rng.standard_normal(size // 4, np.float32).tobytes())
    layout, key, digest = Layout((Tensor(name="w", dtype="F32", shape=[size // 4]),)), keys.generate(), "0" * 64
    bundle = folder / "alx-00000000-r001-learner"

    def seal():
        data, candidates = [], []
        states = ((folder / name).read_bytes() for name in itertools.islice(itertools.cycle("ab"), snapshots))
        for i, made in enumerate(write.candidates(bundle, states, layout)):
            data += made.files
            names = [part_name(i, part) for part in range(layout.parts)]
            candidates.append(Candidate(step=i, loss=1.0, state=made.state, keyframe=made.keyframe, files=names))
        said = Manifest(
            format="alx-bundle",
            version=1,
            sender=Party(role="learner", key=digest),
            plan=digest,
            round=1,
            sequence=1,
            receiver=Party(role="provider", key=digest),
            previous=None,
            answers=None,
            start=None,
            samples=1,
            tensors=list(layout.tensors),
            candidates=candidates,
        )
        write.seal(bundle, said, data, key)

    def opened():
        with carried.survey(bundle) as source:
            signed = read.verify(source, read.claimed_key(source)[0], PublicKey(key.public_key()))
            source.refuse_damage()
            for _ in read.states(source, signed, read.read_manifest(source, signed)):
                pass

    print(json.dumps({"seal": peak(seal), "open": peak(opened)}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
