"""How many bytes are carried: what a model packs to, and what a bundle has at most.

Knows the format of a bundle; knows no task and no result.
"""

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from alx.bundle import age, codec, manifest, moments, signature, strict_json
from alx.bundle.frozen import Frozen
from alx.bundle.layout import FLOATS, MANIFEST_NAME, MAX_SAMPLES, MAX_STATE_BYTES, MAX_TENSORS, Layout, part_name
from alx.bundle.manifest import Blend, Candidate, Party, Start, Version4
from alx.bundle.signature import SignedFile
from alx.learning.head import Head
from alx.learning.task import State
from alx.plan import MAX_ROUNDS, MAX_STEPS
from alx.turns.bridge import layout_of, to_flat

LONGEST = -1.2345678901234567e-100  # as JSON, no number of 64 bits has more characters
DIGEST = "f" * 64
CLOSING = 4096  # of a closing, signature included: ours has 1,960, encrypted 2,404
SPENDING = 512  # of what a manifest says of a privacy budget: eight numbers and their names
SOLVED = 4096  # of what two manifests and two signatures say of moments and of a layer solved for: less than 2,000
AGE_FILE = 1024  # of an encrypted file: header, two recipients, and a stanza of random length
AGE_CHUNKS = 12  # and 16 bytes in each 64 KiB: a 4,096th


def packed(model: State) -> tuple[int, int]:
    """Bytes of one model alone as a bundle would carry it, and before compression."""
    layout = layout_of(model)
    flat = memoryview(to_flat(model, layout))
    return sum(len(codec.encode(flat, None, layout, part)) for part in range(layout.parts)), len(flat)


def most(layout: Layout, *, encrypted: bool = False) -> int:
    """Bytes of one model's files at most: noise packs worst."""
    noise = memoryview(np.random.default_rng(0).bytes(layout.nbytes))
    files = [len(codec.encode(noise, None, layout, part)) for part in range(layout.parts)]
    return sum(_encrypted(size) if encrypted else size for size in files)


def told(head: Head, *, encrypted: bool = False) -> int:
    """Bytes at most of the moments that the learner's first bundle has, and of what manifests say of a layer solved for."""
    return most(moments.layout(head.features, head.classes), encrypted=encrypted) + SOLVED


def wrapping(layout: Layout, snapshots: int, blends: int, *, encrypted: bool = False) -> int:
    """Bytes of a bundle's manifest and signature at most: both made with the longest values.

    Args:
        layout: the model's.
        snapshots: in the bundle, 2 or more.
        blends: in the bundle, as recipes.
        encrypted: to the peer.
    """
    names = [[part_name(i, part) for part in range(layout.parts)] for i in range(snapshots)]
    steps = [0, *range(MAX_STEPS - snapshots + 2, MAX_STEPS + 1)]

    def blend(i: int) -> Blend:
        own = 1 / 3 + i / 1000  # each another name
        return Blend(own_step=MAX_STEPS, peer_bundle=DIGEST, peer_step=MAX_STEPS, own=own, peer=1 / 3, momentum=1 / 3)

    candidates = [
        Candidate(
            step=steps[i] if i < snapshots else None,
            blend=None if i < snapshots else blend(i),
            loss=LONGEST,
            state=DIGEST,
            keyframe=i < snapshots and i % manifest.KEYFRAME_EVERY == 0,
            files=names[i] if i < snapshots else [],
        )
        for i in range(snapshots + blends)
    ]
    made = Version4(
        format="alx-bundle",
        version=4,
        sender=Party(role="provider", key=DIGEST),
        receiver=Party(role="learner", key=DIGEST),
        plan=DIGEST,
        round=MAX_ROUNDS,
        sequence=2 * MAX_ROUNDS,
        previous=DIGEST,
        answers=DIGEST,
        start=Start(candidate=manifest.MAX_CANDIDATES - 1, global_loss=LONGEST, samples=MAX_SAMPLES),
        samples=MAX_SAMPLES,
        tensors=list(layout.tensors),
        candidates=candidates,
        averaged=[t.name for t in layout.tensors if t.dtype in FLOATS],
        frozen=Frozen(tensors=MAX_TENSORS, bytes=MAX_STATE_BYTES, digest=DIGEST),
        restored=None,  # neither site of a simulation is
        privacy=None,  # `SPENDING` stands for it
    )
    said = len(strict_json.text(made))
    ending = age.SUFFIX if encrypted else ""
    listed = [
        SignedFile(name=name + ending, algorithm="sha256", digest=DIGEST, size=signature.MAX_FILE_BYTES)
        for name in (MANIFEST_NAME, *(name for of_one in names for name in of_one))
    ]
    # the signature itself has 70 to 72 bytes, which are 96 characters, but one in hundreds is shorter
    signed = signature.sign(made.name(), listed, ec.generate_private_key(ec.SECP256R1()))
    return (_encrypted(said) if encrypted else said) + len(signed) + 8


def _encrypted(size: int) -> int:
    return size + (size >> AGE_CHUNKS) + AGE_FILE
