"""A trajectory packed, signed and opened again: ours beside what a user would use instead, on the same files, in turns.

Every way goes from files in memory's cache to files that are durable, and back into memory. Ours signs, hashes and
verifies where the rival does, and does not where it does not. All may use every core. `python -m tests.bench.codec` also
prints what compares libraries that could do the codec's inner work, on one thread.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import zipnn
from safetensors.torch import save_file

from alx import files
from alx.bundle import carried, codec, keys, read, write
from alx.bundle.keys import PublicKey
from alx.bundle.layout import Layout, part_name
from alx.bundle.manifest import KEYFRAME_EVERY, Candidate, Manifest, Party
from alx.report.columns import table
from alx.site.work import Work
from alx.turns.bridge import from_flat
from tests.bench import resnet
from tests.bench.row import Row, rates

SNAPSHOTS = KEYFRAME_EVERY + 1
DIGEST = "0" * 64
AIM = 0.73  # of raw
TURNS = 5  # of the libraries; the quickest counts
CORES = len(os.sched_getaffinity(0))
Way = Callable[[], float]


def rounded(state: bytes, layout: Layout) -> bytes:
    """The float32 of a state rounded to the nearest bfloat16, halves to even; what else is in it as it was."""
    out = bytearray(state)
    for tensor, first, last in layout.spans():
        if tensor.dtype == "F32" and first < last:
            words = np.frombuffer(out, "<u4", (last - first) // 4, first)
            words[:] = (words + (0x7FFF + ((words >> 16) & 1))) & 0xFFFF0000
    return bytes(out)


class Files:
    """Snapshots on a disk, twice: as safetensors files, and as the flat states that a turn keeps."""

    def __init__(self, folder: Path, states: list[bytes], layout: Layout) -> None:
        self.folder, self.layout, self.count = folder, layout, len(states)
        self.raw = len(states) * layout.nbytes
        self.key = keys.generate()
        folder.mkdir()
        work = Work(folder / "work", {})
        for i, state in enumerate(states):
            work.put(f"{i:02d}", state)
            save_file(from_flat(state, layout), folder / f"{i:02d}.safetensors")
        self._shell(
            "openssl ecparam -name prime256v1 -genkey -noout -out key.pem && openssl ec -in key.pem -pubout -out pub.pem"
        )
        for way in (self.seal, self.tar, self.zstd, self.zipnn):
            way()

    def _shell(self, line: str) -> None:
        subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=self.folder, check=True, capture_output=True)

    @contextlib.contextmanager
    def _made(self, name: str) -> Iterator[Path]:
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        yield path

    def size(self, name: str) -> int:
        """Bytes of what was packed."""
        return sum(p.stat().st_size for p in (self.folder / name).rglob("*") if p.is_file())

    def _states(self) -> Iterator[bytearray]:
        return Work(self.folder / "work", {}).states([f"{i:02d}" for i in range(self.count)], self.layout.nbytes)

    # --- ours

    @property
    def _bundle(self) -> Path:
        return self.folder / "alx" / "alx-00000000-r001-learner"

    def seal(self) -> None:
        """As `train-local` seals a turn."""
        with self._made("alx"):
            data, candidates = [], []
            for i, made in enumerate(write.candidates(self._bundle, self._states(), self.layout)):
                data += made.files
                names = [part_name(i, part) for part in range(self.layout.parts)]
                candidates.append(Candidate(step=i, loss=1.0, state=made.state, keyframe=made.keyframe, files=names))
            said = Manifest(
                format="alx-bundle",
                version=1,
                sender=Party(role="learner", key=DIGEST),
                plan=DIGEST,
                round=1,
                sequence=1,
                receiver=Party(role="provider", key=DIGEST),
                previous=None,
                answers=None,
                start=None,
                samples=1,
                tensors=list(self.layout.tensors),
                candidates=candidates,
            )
            write.seal(self._bundle, said, data, self.key)

    def open(self) -> None:
        """As `audit` reads a bundle."""
        with carried.survey(self._bundle) as source:
            signed = read.verify(source, read.claimed_key(source)[0], PublicKey(self.key.public_key()))
            source.refuse_damage()
            for _ in read.states(source, signed, read.read_manifest(source, signed)):
                pass

    def pack(self) -> None:
        """What `seal` does without SHA-256 and signature, as the rivals that have none."""
        with self._made("packed") as folder, mock.patch.object(write, "_sha256", return_value=DIGEST):
            for _ in write.candidates(folder, self._states(), self.layout):
                pass

    def unpack(self) -> None:
        """What `open` does without SHA-256 and signature."""
        flat = bytearray(self.layout.nbytes)

        def one(index: int, part: int) -> None:
            data = (self.folder / "packed" / part_name(index, part)).read_bytes()
            codec.decode(data, flat, self.layout, part, "", keyframe=not index % KEYFRAME_EVERY)

        with codec.pool() as pool:
            for i in range(self.count):
                list(pool.map(partial(one, i), range(self.layout.parts)))

    # --- the least that there is to do

    def hash_and_copy(self) -> None:
        """SHA-256 of every raw state, and a durable copy."""
        with self._made("copy") as folder:
            for i, state in enumerate(self._states()):
                hashlib.sha256(state).hexdigest()
                files.write(folder / str(i), state)

    # --- rivals

    def tar(self) -> None:
        """tar | zstd -3, signed."""
        with self._made("tar"):
            self._shell(
                "tar c *.safetensors | zstd -q -3 -T0 -o tar/all.tar.zst;"
                "openssl dgst -sha256 -sign key.pem -out tar/sig tar/all.tar.zst; sync tar/all.tar.zst tar/sig"
            )

    def untar(self) -> None:
        """Verified, decompressed, unpacked to nowhere."""
        self._shell(
            "openssl dgst -sha256 -verify pub.pem -signature tar/sig tar/all.tar.zst;"
            "zstd -q -dc tar/all.tar.zst | tar xO > /dev/null"
        )

    def zstd(self) -> None:
        """Each file by itself, not signed."""
        with self._made("zstd"):
            self._shell("zstd -q -3 -T0 --output-dir-flat zstd *.safetensors; sync zstd/*")

    def unzstd(self) -> None:
        """To nowhere."""
        self._shell("zstd -q -dc zstd/*.zst > /dev/null")

    def zipnn(self) -> None:
        """Each file by itself, not signed."""
        with self._made("zipnn") as folder:
            for path in sorted(self.folder.glob("*.safetensors")):
                packer = zipnn.ZipNN(bytearray_dtype="float32", threads=CORES)
                files.write(folder / path.name, packer.compress(path.read_bytes()))

    def unzipnn(self) -> None:
        """Into memory."""
        for path in sorted((self.folder / "zipnn").iterdir()):
            zipnn.ZipNN(bytearray_dtype="float32", threads=CORES).decompress(path.read_bytes())

    def rate(self, *steps: Callable[[], None]) -> Way:
        """Raw megabytes a second of doing the steps one after the other."""

        def once() -> float:
            begun = time.perf_counter()
            for step in steps:
                step()
            return self.raw / (time.perf_counter() - begun) / 1e6

        return once


RIVALS = {"tar | zstd -3, openssl dgst": "tar", "zstd -3 of each file": "zstd", "ZipNN of each file": "zipnn"}


def rows() -> list[Row]:
    """Size, speed in both directions, and both at once beside the least that there is to do."""
    states, layout, seen = resnet.trajectory(SNAPSHOTS)
    what = f"ResNet-18, {SNAPSHOTS} snapshots of {files.size(layout.nbytes)}, {seen}"
    with tempfile.TemporaryDirectory(dir=resnet.CACHE) as folder:
        f = Files(Path(folder) / "float32", states, layout)
        tar, *others = RIVALS
        out = [
            *_sizes(what, f),
            Row(what, "share of raw", f.size("alx") / f.raw, "what is aimed at", AIM, f.size("alx") / f.raw / AIM, 1.0),
            *rates(f"seal: {what}", "raw MB/s", {"alx": f.rate(f.seal), tar: f.rate(f.tar)}, limit=1),
            *rates(f"verify and open: {what}", "raw MB/s", {"alx": f.rate(f.open), tar: f.rate(f.untar)}, limit=1),
            *rates(
                f"pack alone: {what}",
                "raw MB/s",
                {"alx": f.rate(f.pack)} | dict(zip(others, (f.rate(f.zstd), f.rate(f.zipnn)), strict=True)),
                limit=1,
            ),
            *rates(
                f"unpack alone: {what}",
                "raw MB/s",
                {"alx": f.rate(f.unpack)} | dict(zip(others, (f.rate(f.unzstd), f.rate(f.unzipnn)), strict=True)),
                limit=1,
            ),
            *rates(
                f"seal, verify and open: {what}",
                "raw MB/s",
                {"alx": f.rate(f.seal, f.open), "SHA-256 and a durable copy of the raw bytes": f.rate(f.hash_and_copy)},
                limit=0.5,
            ),
        ]
        shutil.rmtree(f.folder)
        return [
            *out,
            *_sizes(f"rounded to bfloat16: {what}", Files(Path(folder) / "b", [rounded(s, layout) for s in states], layout)),
        ]


def _sizes(what: str, f: Files) -> list[Row]:
    ours = f.size("alx") / f.raw
    theirs = {rival: f.size(name) / f.raw for rival, name in RIVALS.items()}
    return [Row(what, "share of raw", ours, rival, value, ours / value, 1.0) for rival, value in theirs.items()]


# --- libraries that could do the inner work


def candidates() -> list[list[str]]:
    """Share of raw, and raw MB/s of CPU time on one thread both ways, of the words that the codec's first step leaves."""
    import blosc2  # noqa: PLC0415 - for this table alone
    import openzl.ext as zl  # noqa: PLC0415
    import pcodec  # noqa: PLC0415
    from pcodec import standalone  # noqa: PLC0415

    states, layout, _ = resnet.trajectory(SNAPSHOTS)
    parts = [
        (state, states[i - 1] if i % KEYFRAME_EVERY else None, p)
        for i, state in enumerate(states)
        for p in range(layout.parts)
    ]
    packed = [codec.encode(s, before, layout, p) for s, before, p in parts]
    out, raw = bytearray(layout.nbytes), len(states) * layout.nbytes
    ways: dict[str, tuple[list[bytes], Callable[[], object], Callable[[], object]]] = {
        "alx": (
            packed,
            lambda: [codec.encode(s, before, layout, p) for s, before, p in parts],
            lambda: [
                codec.decode(f, out, layout, p, "", keyframe=b is None) for f, (_, b, p) in zip(packed, parts, strict=True)
            ],
        )
    }

    def openzl(graph: Callable[[object], object]) -> Callable[[np.ndarray], bytes]:
        def one(z: np.ndarray) -> bytes:
            compressor, context = zl.Compressor(), zl.CCtx()
            compressor.select_starting_graph(graph(compressor))
            compressor.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
            context.ref_compressor(compressor)
            return context.compress([zl.Input(zl.Type.Numeric, z)])

        return one

    g, n = zl.graphs, zl.nodes
    split = n.ConvertNumToStructLE(), n.TransposeSplit()
    kept = pcodec.ChunkConfig(mode_spec=pcodec.ModeSpec.classic(), delta_spec=pcodec.DeltaSpec.no_op())
    shuffled = {"typesize": 4, "nthreads": 1, "codec": blosc2.Codec.ZSTD, "clevel": 1}
    for name, one, back in (
        ("pcodec 1.1, level 8", lambda z: standalone.simple_compress(z, kept), standalone.simple_decompress),
        (
            "openzl 0.3, planes, its compressors",
            openzl(lambda c: split[0](c, split[1](c, g.Compress()(c)))),
            lambda d: zl.DCtx().decompress(d),
        ),
        (
            "openzl 0.3, planes, entropy alone",
            openzl(lambda c: split[0](c, split[1](c, n.ConvertSerialToNum8()(c, g.Entropy()(c))))),
            lambda d: zl.DCtx().decompress(d),
        ),
        (
            "blosc2 4.14, shuffle, zstd 1",
            lambda z: blosc2.compress2(z, cparams=shuffled | {"filters": [blosc2.Filter.SHUFFLE]}),
            lambda d: blosc2.decompress2(d, dparams={"nthreads": 1}),
        ),
        (
            "blosc2 4.14, bitshuffle, zstd 1",
            lambda z: blosc2.compress2(z, cparams=shuffled | {"filters": [blosc2.Filter.BITSHUFFLE]}),
            lambda d: blosc2.decompress2(d, dparams={"nthreads": 1}),
        ),
    ):
        made = [one(_differences(*part, layout)) for part in parts]
        ways[name] = (
            made,
            lambda one=one: [one(_differences(*part, layout)) for part in parts],
            lambda back=back, m=made: [_words(back(x), *part[1:], layout) for x, part in zip(m, parts, strict=True)],
        )
    taken = [{name: (_seconds(there), _seconds(back)) for name, (_, there, back) in ways.items()} for _ in range(TURNS)]
    return [
        [name, f"{sum(map(len, made)) / raw:.4f}", *(f"{raw / min(t[name][i] for t in taken) / 1e6:,.0f}" for i in (0, 1))]
        for name, (made, _, _) in ways.items()
    ]


def _seconds(way: Callable[[], object]) -> float:
    begun = time.process_time()
    way()
    return time.process_time() - begun


def _differences(state: bytes, before: bytes | None, part: int, layout: Layout) -> np.ndarray:
    """What the codec cuts into planes: zigzag differences, in a keyframe turned words; all as words of four bytes."""
    first, last = layout.part(part)
    words = np.frombuffer(state, "<u4", (last - first) // 4, first)
    out, shifted = np.empty_like(words), np.empty(codec.BLOCK, "<u4")
    for at in range(0, len(words), codec.BLOCK):
        z = out[at : at + codec.BLOCK]
        s, block = shifted[: len(z)], words[at : at + codec.BLOCK]
        if before is None:
            np.right_shift(block, 31, out=s)
            np.left_shift(block, 1, out=z)
        else:
            np.subtract(block, np.frombuffer(before, "<u4", len(z), first + 4 * at), out=z)
            np.right_shift(z.view("<i4"), 31, out=s.view("<i4"))
            np.left_shift(z, 1, out=z)
        np.bitwise_xor(z, s, out=z)
    return out


def _words(packed: object, before: bytes | None, part: int, layout: Layout) -> np.ndarray:
    """The inverse."""
    words = packed[0].content.as_nparray() if isinstance(packed, list) else np.frombuffer(packed, "<u4")
    first, _ = layout.part(part)
    out, shifted = np.empty_like(words), np.empty(codec.BLOCK, "<u4")
    for at in range(0, len(words), codec.BLOCK):
        z, block = words[at : at + codec.BLOCK], out[at : at + codec.BLOCK]
        s = shifted[: len(z)]
        if before is None:
            np.left_shift(z, 31, out=s)
        else:
            np.bitwise_and(z, 1, out=s)
            np.negative(s.view("<i4"), out=s.view("<i4"))
        np.right_shift(z, 1, out=block)
        np.bitwise_xor(block, s, out=block)
        if before is not None:
            np.add(block, np.frombuffer(before, "<u4", len(z), first + 4 * at), out=block)
    return out


if __name__ == "__main__":
    for row in rows():
        print(f"{row.what}, {row.unit}: {row.ours:.4g}; {row.rival}: {row.theirs:.4g}; ratio {row.ratio:.3f}")
    print("\n".join(table(["one thread", "share of raw", "there, MB/s", "back, MB/s"], candidates(), left=1)))
