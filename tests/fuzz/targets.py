"""The targets: bytes in; true if they were taken, false if they were refused; whatever else is raised is a finding.

Each begins after the checks that come before it: a statement that is signed, a file whose digest was compared. Only the
sender's key stands between these and whoever made the bytes; nothing stands before a signature file, a request, a
receipt, a rotation or an identity.
"""

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import zstandard
from cryptography.hazmat.primitives.asymmetric import ec

from alx.bundle import closing, codec, identity, keys, manifest, moments, receipt, request, signature, strict_json
from alx.bundle import rotation as rotations
from alx.bundle.identity import IdentityFile
from alx.bundle.keys import PublicKey
from alx.bundle.layout import Layout, Tensor
from alx.bundle.manifest import Manifest, Party
from alx.bundle.moments import Moments
from alx.bundle.receipt import Acceptance
from alx.errors import AlxError

CODES_OF_BUNDLES = 10  # below are those of a person's own doing
GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
PLAN = """\
name = "tiny"
rounds = 2
round_steps = 12
sampling_period = 2
batch_size = 8
seed = 3
optimiser = { name = "adam", lr = 0.01 }
model = { source = "alx.tasks.models:mlp", arguments = { inputs = 4, classes = 3, hidden = 8 } }
"""
BUNDLES = sorted(GOLDEN.glob("alx-*"))


@cache
def key() -> PublicKey:
    """The golden learner's."""
    return keys.load_public(GOLDEN / "learner.pem")


@cache
def private_key() -> ec.EllipticCurvePrivateKey:
    """One for the files that are not in the golden exchange."""
    return keys.generate()


def own_key() -> PublicKey:
    """Its public half."""
    return PublicKey(private_key().public_key())


@cache
def layout() -> Layout:
    """The golden model's, with a tensor of each other size of word."""
    said = json.loads((BUNDLES[0] / "manifest.json").read_bytes())
    return Layout(tuple(Tensor(**t) for t in said["tensors"]))


def round_sig(data: bytes) -> None:
    """The signature file, signed by nobody."""
    signature.hint(data)
    signature.verify(data, key())


def statement(data: bytes) -> None:
    """What a good signature was made over."""
    signed = signature._statement(data, key())
    assert signed.digest == signature.root_digest(list(signed.files.values()))


def manifest_json(data: bytes) -> None:
    """A manifest; one that is taken is written and read to the same."""
    said = manifest.parse(data)
    again = manifest.parse(strict_json.text(said))
    assert isinstance(again, Manifest)
    assert again == said


def closing_json(data: bytes) -> None:
    """A closing; one that is taken is written and read to the same."""
    said = closing.parse(data)
    assert closing.parse(strict_json.text(said)) == said


def frame(data: bytes) -> None:
    """A compressed file."""
    codec.decode(data, bytearray(layout().nbytes), layout(), 0, "a frame", keyframe=True)


def request_file(data: bytes) -> None:
    """A request for files, signed by nobody."""
    request.verify(data, own_key())


def asked(data: bytes) -> None:
    """What a request's good signature was made over."""
    said = request._payload(data)
    assert list(said.files) == sorted(set(said.files))


def receipt_file(data: bytes) -> None:
    """A receipt, signed by nobody."""
    receipt.verify(data, own_key())


def accepted(data: bytes) -> None:
    """What a receipt's good signature was made over."""
    assert strict_json.text(receipt._payload(data)) == data


def rotation(data: bytes) -> None:
    """A rotation of a key, signed by nobody."""
    assert rotations.verify(data, own_key()).data == data


def identity_file(data: bytes) -> None:
    """What comes before pairing: nothing is known of who made it."""
    said = identity.parse(data)
    assert said.words.count(" ") == 11
    assert identity.parse(said.data).file == said.file


def header(data: bytes) -> None:
    """What a frame holds: a safetensors file."""
    frame(zstandard.ZstdCompressor(write_checksum=True).compress(data))


TOLD = Moments(features=4, classes=3, state="0" * 64, files=[moments.file_name(0)])
SAMPLES = 40  # that they are of


def sums(data: bytes) -> None:
    """A learner's moments, whose files are as they were signed: what is taken is of samples, and stays as it is."""
    raw = data[: TOLD.layout.nbytes].ljust(TOLD.layout.nbytes, b"\0")
    codec.check_values(memoryview(raw), TOLD.layout, "the moments")
    second, by_class = moments.unpacked(raw, TOLD, SAMPLES)
    assert np.linalg.eigvalsh(second).min() >= -1e-5 * np.trace(second)
    again = np.frombuffer(moments.packed(second, by_class), "<f8")
    assert np.array_equal(again, np.frombuffer(raw, "<f8"))


def good_sums() -> bytes:
    """Those of drawn samples."""
    drawn = np.random.default_rng(0)
    f, y = np.c_[drawn.normal(size=(SAMPLES, TOLD.features)), np.ones(SAMPLES)], np.eye(TOLD.classes)
    return moments.packed(f.T @ f, f.T @ y[drawn.integers(TOLD.classes, size=SAMPLES)])


TARGETS: dict[str, Callable[[bytes], None]] = {
    "round_sig": round_sig,
    "statement": statement,
    "manifest": manifest_json,
    "closing": closing_json,
    "frame": frame,
    "header": header,
    "request": request_file,
    "asked": asked,
    "receipt": receipt_file,
    "accepted": accepted,
    "rotation": rotation,
    "identity": identity_file,
    "moments": sums,
}


def taken(target: str, data: bytes) -> bool:
    """Give bytes to a target.

    Raises:
        Exception: neither taken nor refused.
    """
    try:
        TARGETS[target](data)
    except AlxError as error:
        if error.exit_code < CODES_OF_BUNDLES:
            raise
        return False
    return True


@cache
def seeds(target: str) -> list[bytes]:
    """Good bytes for a target: the same at every call, while no two signatures are of the same bytes."""
    signatures = [(b / "round.sig").read_bytes() for b in BUNDLES if b.name.endswith("learner")]
    frames = [p.read_bytes() for b in BUNDLES for p in sorted((b / "data").iterdir())]
    said = IdentityFile(
        format="alx-identity",
        version=1,
        role="learner",
        public_key=key().pem,
        plan=PLAN,
        code=None,
        samples=40,
        tensors=list(layout().tensors),
    )
    wanted = request.make("0" * 64, ["manifest.json", "data/c0001-p0000.safetensors.zst"], private_key())
    side = Party(role="learner", key=own_key().fingerprint)
    took = Acceptance(
        plan="0" * 64, round=1, sender=side, receiver=side, accepted="2026-11-29T01:02:03+00:00", by="A. Meyer"
    )
    came = receipt.make("alx-00000000-r001-learner", "0" * 64, took, private_key())
    return {
        "receipt": [came],
        "accepted": [base64.b64decode(json.loads(came)["payload"])],
        "request": [wanted],
        "asked": [base64.b64decode(json.loads(wanted)["payload"])],
        "rotation": [rotations.make("0" * 64, "learner", private_key(), keys.generate()).data],
        "identity": [identity.of(said).data],
        "round_sig": signatures,
        "statement": [base64.b64decode(json.loads(s)["dsseEnvelope"]["payload"]) for s in signatures],
        "manifest": [p.read_bytes() for p in sorted(GOLDEN.parent.glob("v*/alx-*/manifest.json"))],
        "closing": [p.read_bytes() for p in sorted(GOLDEN.parent.glob("closing-v*/alx-*/closing.json"))],
        "moments": [good_sums()],
        "frame": frames,
        "header": [zstandard.ZstdDecompressor().decompress(f) for f in frames],
    }[target]
