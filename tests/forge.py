"""Bundles that the right key signed and that are lies all the same: what a hostile or broken peer could hand over.

Signs whatever it is told to, with a site's real key; checks nothing. What a refusal must look like stands here too.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic_core import to_json

from alx.bundle import carried, codec, keys, read, signature, strict_json
from alx.bundle.keys import PublicKey
from alx.bundle.layout import Layout, Tensor, part_name
from alx.bundle.manifest import KEYFRAME_EVERY
from alx.bundle.moments import Moments
from alx.cli.main import cli, run
from alx.errors import AlxError
from alx.site import shelf
from tests.conftest import World

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def envelope(payload: bytes, key: ec.EllipticCurvePrivateKey, payload_type: str = PAYLOAD_TYPE) -> dict[str, Any]:
    """A signature file over any payload, written without alx: DSSE's pre-authentication encoding, ECDSA, SHA-256."""
    encoded = b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": PublicKey(key.public_key()).fingerprint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(key.sign(encoded, ec.ECDSA(hashes.SHA256()))).decode()}],
        },
    }


def listed(name: str, data: bytes) -> dict[str, Any]:
    """How a file stands in the statement."""
    return {"name": name, "algorithm": "sha256", "digest": hashlib.sha256(data).hexdigest(), "size": len(data)}


def statement(name: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    """An OMS statement whose root digest is right."""
    ordered = sorted(resources, key=lambda r: r["name"])
    root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in ordered)).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": ["round.sig"],
            },
            "resources": ordered,
        },
    }


@dataclass(frozen=True)
class Forge:
    """One bundle on the disk, and the key of the site that made it."""

    bundle: Path
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, world: World, role: str, round_: int = 1) -> "Forge":
        """For the bundle of that turn."""
        return cls(world.bundle(role, round_), keys.load_private(world.folder(role) / "key.pem"))

    @property
    def world(self) -> World:
        """The two sites, and the disk that the bundle lies on."""
        return World(self.bundle.parents[1])

    @property
    def closing(self) -> "Forge":
        """The closing that lies beside the bundle, with the same key."""
        return Forge(self.world.closing, self.key)

    def path(self, name: str) -> Path:
        """A file of the bundle."""
        return self.bundle / name

    def flip(self, name: str, at: int = -20) -> None:
        """Change one bit of a file, and sign nothing."""
        data = bytearray(self.path(name).read_bytes())
        data[at] ^= 1
        self.path(name).write_bytes(data)

    # --- the signature file

    def put(self, document: dict[str, Any] | bytes) -> None:
        """Replace `round.sig`."""
        data = document if isinstance(document, bytes) else json.dumps(document, indent=1).encode()
        (self.bundle / "round.sig").write_bytes(data)

    def document(self) -> dict[str, Any]:
        """`round.sig` as it stands."""
        return json.loads((self.bundle / "round.sig").read_bytes())

    def redocument(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change `round.sig` without signing anew."""
        said = self.document()
        change(said)
        self.put(said)

    def resources(self) -> list[dict[str, Any]]:
        """What there is, as it would be listed."""
        found = (p for p in self.bundle.rglob("*") if p.is_file() and p.name != "round.sig")
        return [listed(p.relative_to(self.bundle).as_posix(), p.read_bytes()) for p in found]

    def sign(self, change: Callable[[dict[str, Any]], None] = lambda _: None, name: str | None = None) -> None:
        """Sign what there is; `change` may edit the statement first."""
        said = statement(self.bundle.name if name is None else name, self.resources())
        change(said)
        self.sign_bytes(json.dumps(said).encode())

    def sign_bytes(self, payload: bytes) -> None:
        """Sign a statement given as bytes."""
        self.put(envelope(payload, self.key))

    def also_sign(self, name: str) -> None:
        """Sign a name that is on no disk: it stands in the statement only."""
        self.sign_bytes(json.dumps(statement(self.bundle.name, [*self.resources(), listed(name, b"x")])).encode())

    def place(self, where: str, data: bytes) -> None:
        """Put bytes where a document has to be, signed as far as it can be signed: signature, statement, manifest."""
        {"signature": self.put, "statement": self.sign_bytes, "manifest": self.manifest_bytes}[where](data)

    # --- the manifest; of a closing, what stands in its place

    @property
    def head(self) -> Path:
        """The file of it."""
        closing = self.bundle / "closing.json"
        return closing if closing.exists() else self.bundle / "manifest.json"

    def manifest(self) -> dict[str, Any]:
        """The manifest as it stands."""
        return json.loads(self.head.read_bytes())

    def edit(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change the manifest and sign again."""
        said = self.manifest()
        change(said)
        self.manifest_bytes(form(said))

    def manifest_bytes(self, data: bytes) -> None:
        """Put a manifest of any bytes and sign again."""
        self.head.write_bytes(data)
        self.sign()

    # --- the snapshots

    @property
    def layout(self) -> Layout:
        """The model's, as the manifest says."""
        return Layout(tuple(Tensor(**t) for t in self.manifest()["tensors"]))

    def file(self, index: int) -> Path:
        """The file of one candidate."""
        return self.bundle / self.manifest()["candidates"][index]["files"][0]

    def raw(self, index: int) -> bytes:
        """The safetensors file inside it."""
        return zstandard.ZstdDecompressor().decompress(self.file(index).read_bytes())

    def frame(self, index: int, data: bytes) -> None:
        """Replace a compressed file and sign again."""
        self.file(index).write_bytes(data)
        self.sign()

    def header(self, change: Callable[[dict[str, Any], bytes], bytes | None]) -> None:
        """Change the safetensors header of the second candidate as a document, and the planes if `change` says so."""
        header, data = header_of(self.raw(1))
        document = json.loads(header)
        data = change(document, data) or data
        text = json.dumps(document, separators=(",", ":")).encode()
        self.frame(1, compress(safetensors(text + b" " * (-len(text) % 8), data)))

    def restate(self, change: Callable[[list[bytearray]], None]) -> None:
        """Change the states that come with their weights; compress, list and sign them anew."""
        with carried.survey(self.bundle) as source:
            signed = signature.verify((self.bundle / "round.sig").read_bytes(), PublicKey(self.key.public_key()))
            flats = [bytearray(s) for _, _, s in read.states(source, signed, read.read_manifest(source, signed))]
        change(flats)

        def say(manifest: dict[str, Any]) -> None:
            before = None
            for candidate, flat in zip(manifest["candidates"], flats, strict=False):
                candidate["state"] = hashlib.sha256(flat).hexdigest()
                data = codec.encode(bytes(flat), None if candidate["keyframe"] else before, self.layout, 0)
                (self.bundle / candidate["files"][0]).write_bytes(data)
                before = bytes(flat)

        self.edit(say)

    def moments(self, change: Callable[[Any, Any], Any]) -> None:
        """Change the sums by class, or the upper half of the second moments; compress, list and sign them anew."""
        said = Moments(**self.manifest()["moments"])
        raw, rows, file = bytearray(said.layout.nbytes), said.features + 1, self.path(said.files[0])
        codec.decode(file.read_bytes(), raw, said.layout, 0, file.name, keyframe=True)
        numbers = np.frombuffer(raw, "<f8")
        change(numbers[: rows * said.classes].reshape(rows, said.classes), numbers[rows * said.classes :])
        file.write_bytes(codec.encode(bytes(raw), None, said.layout, 0))
        self.edit(lambda m: m["moments"].update(state=hashlib.sha256(raw).hexdigest()))

    # --- the blends

    def flats(self) -> list[bytes]:
        """Every state, that of a blend as its sender makes it; of the bundle as it was sealed."""
        role = self.bundle.name.rsplit("-", 1)[1]
        now = self.world.state(role)
        turn = next(t for t in now.position.sealed if t.bundle == self.bundle.name)
        with shelf.opened(now, turn) as mine:
            return [mine.state(i) for i in range(len(mine.manifest.candidates))]

    def blend(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change the first blend, and sign again."""
        self.edit(lambda m: change(next(c for c in m["candidates"] if c["blend"])))

    def older(self, change: Callable[[list[bytes]], Any] = lambda _: None) -> None:
        """Make it a bundle of version 1, in which blends come with their weights; `change` may edit the states first."""
        flats = self.flats()
        change(flats)

        def say(manifest: dict[str, Any]) -> None:
            manifest["version"] = 1
            del manifest["averaged"], manifest["frozen"], manifest["restored"], manifest["privacy"]
            for i, (candidate, flat) in enumerate(zip(manifest["candidates"], flats, strict=True)):
                keyframe, name = i % KEYFRAME_EVERY == 0, part_name(i, 0)
                candidate |= {"state": hashlib.sha256(flat).hexdigest(), "keyframe": keyframe, "files": [name]}
                self.path(name).write_bytes(codec.encode(flat, None if keyframe else flats[i - 1], self.layout, 0))

        self.edit(say)


def form(document: object) -> bytes:
    """The one form of a document, for one that is no record."""
    return strict_json._PLUS.sub(rb"\1e\2", to_json(document, indent=1, inf_nan_mode="constants"))


def compress(raw: bytes, **parameters: Any) -> bytes:
    """A zstd frame as bundles hold it."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True, **parameters).compress(raw)


def safetensors(header: bytes, data: bytes) -> bytes:
    """A safetensors file with a header of any bytes."""
    return struct.pack("<Q", len(header)) + header + data


def header_of(raw: bytes) -> tuple[bytes, bytes]:
    """Header and planes of a safetensors file."""
    end = 8 + struct.unpack("<Q", raw[:8])[0]
    return raw[8:end], raw[end:]


def command(world: World, role: str, path: Path | str) -> list[str]:
    """The command line of an import."""
    return ["import-and-select", str(path), "--site", str(world.folder(role))]


def refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], error: type[AlxError], *words: str, hint: str | None = None
) -> str:
    """Run a command line twice and check the refusal: its class, its exit code, and what a person reads.

    Args:
        capsys: pytest's.
        arguments: the command line.
        error: the very class that is expected.
        words: all of them are in the message.
        hint: stands in the hint line; None where there need not be one.

    Returns:
        What was on stderr.
    """
    with pytest.raises(AlxError) as raised:
        cli.main(args=list(arguments), prog_name="alx", standalone_mode=False)
    assert raised.type is error, f"{raised.type.__name__}: {raised.value}"
    capsys.readouterr()
    assert run(arguments) == error.exit_code
    told = capsys.readouterr().err
    well_told(told, *words, hint=hint)
    return told


def well_told(told: str, *words: str, hint: str | None = None) -> None:
    """Check what a person reads of a refusal: one line, at most one more with the remedy, nothing unprintable.

    Args:
        told: what was on stderr.
        words: all of them are in the message.
        hint: stands in the hint line; None where there need not be one.
    """
    first, *rest = told.splitlines()
    assert first.startswith("alx: error: ")
    assert "Traceback" not in told
    assert all(c.isprintable() for line in (first, *rest) for c in line), ascii(told)
    for word in words:
        assert word in first, told
    assert len(rest) <= 1, told
    assert all(line.startswith("hint: ") for line in rest), told
    assert hint is None or (rest and hint in rest[0]), told


def refused_import(
    capsys: pytest.CaptureFixture[str],
    world: World,
    role: str,
    path: Path | str,
    error: type[AlxError],
    *words: str,
    hint: str | None = None,
) -> str:
    """`refused` for an import, which must leave ledger and inbox as they were, to the byte."""
    before = world.fingerprint(role)
    told = refused(capsys, command(world, role, path), error, *words, hint=hint)
    assert world.fingerprint(role) == before
    return told
