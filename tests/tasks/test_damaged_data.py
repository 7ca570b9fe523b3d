"""Own data that a disk, a copy or an editor damaged: what is read is data, or a refusal that names the file."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alx import plan
from alx.errors import ConfigError
from alx.tasks.data import kinds
from tests.tasks.test_data import COLUMNS, FOLDERS, HEAD, PLAN, Source, refusal, tiny_mnist

MUTATIONS = 300  # of each kind of file: a few seconds in all
ROWS = "1,60,1.5,north,yes,ill\n2,41,,NA,n/a,well\n"
PIXELS = "[images]\nchannels = 1\n"


def archive(compression: int) -> bytes:
    """An .npz, packed as any tool may."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, array in (("train_images", np.arange(360).reshape(10, 6, 6) % 256), ("train_labels", np.arange(10))):
            one = io.BytesIO()
            np.save(one, array.astype(np.uint8))
            file.writestr(f"{name}.npy", one.getvalue())
    return out.getvalue()


def picture(kind: str, mode: str = "RGB", **how: object) -> bytes:
    """A picture of noise, with an orientation where the format keeps one."""
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(out, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}), **how)
    return out.getvalue()


@dataclass(frozen=True)
class Kind:
    """One kind of file: its name below the folder, a whole one, and how it is read."""

    name: str
    whole: bytes
    source: Source
    plan: str


def image_kind(ending: str, whole: bytes) -> Kind:
    return Kind(f"own/benign/a.{ending}", whole, Source("images", "own"), FOLDERS.format(3))


KINDS = {
    **{
        f"npz-{name}": Kind("own.npz", archive(compression), Source("npz", "own.npz"), PIXELS)
        for name, compression in (
            ("stored", zipfile.ZIP_STORED),
            ("deflated", zipfile.ZIP_DEFLATED),
            ("lzma", zipfile.ZIP_LZMA),
            ("bz2", zipfile.ZIP_BZIP2),
        )
    },
    "csv": Kind("own.csv", (HEAD + ROWS * 4).encode(), Source("csv", "own.csv"), COLUMNS),
    "png": image_kind("png", picture("PNG")),
    "palette": image_kind("png", picture("PNG", "P", transparency=3)),
    "jpg": image_kind("jpg", picture("JPEG")),
    "progressive": image_kind("jpeg", picture("JPEG", "L", progressive=True)),
    "bmp": image_kind("bmp", picture("BMP")),
    "webp": image_kind("webp", picture("WEBP")),
    "lossless": image_kind("webp", picture("WEBP", "RGBA", lossless=True)),
    "tif": image_kind("tif", picture("TIFF")),
    "lzw": image_kind("tiff", picture("TIFF", "L", compression="tiff_lzw")),
    "ppm": image_kind("ppm", picture("PPM")),
    "pgm": image_kind("pgm", b"P2 3 2 100\n0 50 100\n7 8 9\n"),
}


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, bytes put in their place, pieces cut out or doubled, or the end lost; most often near the head."""
    out = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(min(len(out), rng.choice((40, 200, len(out)))))) if out else 0
        how = rng.integers(6)
        if how == 0 and out:
            out[at] ^= 1 << rng.integers(8)
        elif how == 1:
            number = int(rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, rng.integers(1 << 32))))
            out[at : at + 4] = struct.pack(rng.choice(("<I", ">I")), number)
        elif how == 2:
            del out[at : at + int(rng.integers(1, 17))]
        elif how == 3:
            out[at:at] = out[at : at + int(rng.integers(1, 17))]
        elif how == 4:
            out[at : at + 8] = rng.bytes(8)
        else:
            del out[int(rng.integers(len(out) + 1)) :]
    return bytes(out)


def told(folder: Path, source: Source, more: str) -> str:
    """The refusal, or nothing where data come out; anything else raises here."""
    agreed = plan.parse((PLAN + more).encode()).plan
    try:
        own, _ = kinds.load(source, folder, agreed)
    except ConfigError as error:
        return error.message
    assert len(own)
    return ""


def put(folder: Path, kind: Kind, content: bytes) -> str:
    """What is told of such a file."""
    path = folder / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return told(folder, kind.source, kind.plan)


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_of_own_data_is_read_or_refused_by_its_name(tmp_path, name):
    kind = KINDS[name]
    assert not put(tmp_path, kind, kind.whole)
    rng = np.random.default_rng(0)
    refused = [said for _ in range(MUTATIONS) if (said := put(tmp_path, kind, damaged(kind.whole, rng)))]
    assert len(refused) > MUTATIONS / 10
    assert [said for said in refused if Path(kind.name).name not in said or "\n" in said] == []


@pytest.mark.parametrize("part", ["images-idx3", "labels-idx1"])
def test_a_damaged_file_of_mnist_is_read_or_refused_with_its_folder(tmp_path, part):
    tiny_mnist(tmp_path / "root")
    file = f"train-{part}-ubyte"
    path = tmp_path / "root" / "MNIST" / "raw" / file
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(MUTATIONS):
        path.write_bytes(damaged(whole, rng))
        said = told(tmp_path, Source("mnist", "root"), PIXELS)
        assert not said or f"cannot read MNIST (train) at '{tmp_path}/root'" in said


@pytest.mark.parametrize(("kind", "file"), [("cifar10", "cifar-10-batches-py/data_batch_1"), ("svhn", "train_32x32.mat")])
def test_a_damaged_file_of_cifar10_or_svhn_is_refused_with_its_folder(tmp_path, kind, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    for content in (b"", b"\x80\x04.", b"MATLAB 5.0 MAT-file" + bytes(200)):
        (tmp_path / file).write_bytes(content)
        assert f"(train) at '{tmp_path}" in refusal(tmp_path, Source(kind, "."), "[images]\n")


def npy(header: str, content: bytes = bytes(360), version: tuple[int, int] = (1, 0)) -> bytes:
    """An array as NumPy writes it, the header as given."""
    text = header.encode("latin-1")
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text + content


def headers() -> Iterator[tuple[str, str]]:
    whole = "{'descr': '|u1', 'fortran_order': False, 'shape': (10, 6, 6), }\n"
    for name, old, new in (
        ("huge", "(10, 6, 6)", "(10000000000, 6, 6)"),
        ("beyond 64 bits", "(10, 6, 6)", f"({10**30}, 6, 6)"),
        ("below 0", "(10, 6, 6)", "(-10, 6, 6)"),
        ("of another size", "(10, 6, 6)", "(9, 6, 6)"),
        ("of nothing", "(10, 6, 6)", "(10, 0, 6)"),
        ("of no shape", "(10, 6, 6)", "None"),
        ("unclosed", "(10, 6, 6), }", "(10, 6, 6"),
        ("nested", "(10, 6, 6)", "(" * 3000),
        ("a program", "(10, 6, 6)", "(__import__('os').getpid(), 6, 6)"),
        ("of objects", "|u1", "|O"),
        ("of no type", "|u1", "|zz9"),
        ("of wide text", "|u1", "<U2000000000"),
        ("empty", whole, ""),
    ):
        assert old in whole
        yield name, whole.replace(old, new)


@pytest.mark.parametrize(("name", "header"), list(headers()))
def test_an_array_whose_header_is_off_is_refused_by_name_and_nothing_is_allocated(tmp_path, monkeypatch, name, header):
    asked = []
    made: Callable[..., np.ndarray] = np.lib.format.read_array
    monkeypatch.setattr(np.lib.format, "read_array", lambda *a, **k: asked.append(name) or made(*a, **k))
    for version in ((1, 0), (2, 0)):
        with zipfile.ZipFile(tmp_path / "own.npz", "w") as file:
            file.writestr("train_images.npy", npy(header, version=version))
        assert "'own.npz'" in refusal(tmp_path, Source("npz", "own.npz"), PIXELS)
    assert asked == []


def test_pillow_reads_no_format_but_those_that_are_documented(tmp_path):
    (tmp_path / "own" / "benign").mkdir(parents=True)
    Image.init()
    for kind in {"AVIF", "GIF", "ICO", "TGA", "JPEG2000", "PCX", "EPS", "SGI", "DDS"} & set(Image.SAVE):
        Image.new("RGB", (16, 16)).save(tmp_path / "own" / "benign" / "a.png", kind)
        told = refusal(tmp_path, Source("images", "own"), FOLDERS.format(3))
        assert "'benign/a.png' cannot be read as an image" in told, kind
        assert "kinds: PNG, JPEG, BMP, WEBP, TIFF, PPM" in told, kind


def test_a_tiff_whose_next_page_is_nowhere_is_refused_by_name(tmp_path):
    whole = picture("TIFF")
    entries = struct.unpack_from("<H", whole, struct.unpack_from("<I", whole, 4)[0])[0]
    link = struct.unpack_from("<I", whole, 4)[0] + 2 + 12 * entries
    for offset in (len(whole) + 100, 3, 0xFFFFFFFF):
        broken = whole[:link] + struct.pack("<I", offset) + whole[link + 4 :]
        assert "'benign/a.tif'" in put(tmp_path, KINDS["tif"], broken)
