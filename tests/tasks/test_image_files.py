"""Files of an image folder: which pixels a model gets of them, and which are refused since those would be others."""

import io
import shutil
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.tasks.test_data import FOLDERS, Source, read, refusal

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
ORIENTATION = 0x0112


def put(folder, name, content):
    """A folder of one picture."""
    path = folder / "own" / "benign" / name
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        image, how = content
        image.save(path, **how)
    return Source("images", "own")


def pixels(folder, name, content, channels=3):
    """uint8 [4, 4, channels] as read."""
    own, _ = read(folder, put(folder, name, content), FOLDERS.format(channels))
    return own.images[0].permute(1, 2, 0).numpy()


def refused(folder, name, content):
    return refusal(folder, put(folder, name, content), FOLDERS.format(3))


def png(depth, colour, channels, *chunks):
    """4 x 4 of white, as the PNG specification has it; Pillow writes no such depths."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + b"\xff" * (-(-4 * channels * depth // 8))) * 4
    head = struct.pack(">IIBBBBB", 4, 4, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(bits, samples, photometric, *more):
    """4 x 4 of bytes of 1, uncompressed, little-endian; further entries as (tag, value)."""
    strip = b"\x01" * (4 * 4 * samples * bits // 8)
    fields = [
        (256, 3, [4]),
        (257, 3, [4]),
        (258, 3, [bits] * samples),
        (259, 3, [1]),
        (262, 3, [photometric]),
        (273, 4, [8]),
        (277, 3, [samples]),
        (278, 3, [4]),
        (279, 4, [len(strip)]),
        *((tag, 3, values) for tag, values in more),
    ]
    at = 8 + len(strip) + 2 + 12 * len(fields) + 4
    entries, tail = b"", b""
    for tag, kind, values in sorted(fields):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            entries += struct.pack("<HHII", tag, kind, len(values), at + len(tail))
            tail += packed
        else:
            entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + struct.pack("<H", len(fields)) + entries + bytes(4) + tail


@pytest.mark.parametrize(
    ("name", "content", "bits"),
    [
        ("grey.png", png(16, 0, 1), 16),
        ("grey and alpha.png", png(16, 4, 2), 16),
        ("colour.png", png(16, 2, 3), 16),
        ("colour and alpha.png", png(16, 6, 4), 16),
        ("grey.tif", tiff(16, 1, 1), 16),
        ("colour.tif", tiff(16, 3, 2), 16),
        ("cmyk.tif", tiff(16, 4, 5), 16),
        ("float.tif", (Image.new("F", (4, 4), 0.5), {}), 32),
        ("whole.tif", (Image.new("I", (4, 4), 5), {}), 32),
        ("plain.pgm", b"P2 2 1 1000\n5 1000\n", 10),
        ("raw.pgm", b"P5 2 1 65535\n" + bytes(4), 16),
        ("plain.ppm", b"P3 1 1 256\n5 6 7\n", 9),
        ("raw.ppm", b"P6 2 1 65535\n" + bytes(12), 16),
        ("raw4095.ppm", b"P6 # a comment\n 2 1 4095\n" + bytes(12), 12),
        ("float.ppm", b"Pf\n1 1\n-1.0\n" + bytes(4), 32),
    ],
)
def test_pixels_deeper_than_8_bits_are_refused_whatever_the_format(tmp_path, name, content, bits):
    told = refused(tmp_path, name, content)
    assert f"'benign/{name}' has {bits} bits a channel, expected 8 at most | scale it" in told


def test_a_jpeg_of_12_bits_is_refused_by_name(tmp_path):
    out = io.BytesIO()
    Image.fromarray(NOISE).save(out, "JPEG")
    head = out.getvalue().index(b"\xff\xc0")
    deep = out.getvalue()[: head + 4] + b"\x0c" + out.getvalue()[head + 5 :]
    told = refused(tmp_path, "a.jpg", deep)
    assert "'benign/a.jpg' cannot be read as an image" in told
    assert "of 8 bits a channel at most" in told


def test_a_tiff_of_signed_bytes_is_refused(tmp_path):
    assert "has pixels below 0 (signed samples), expected 0 to 255" in refused(tmp_path, "a.tif", tiff(8, 1, 1, (339, [2])))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_fewer_than_8_bits_are_widened_to_the_whole_of_0_to_255(tmp_path, depth):
    assert (pixels(tmp_path, "a.png", png(depth, 0, 1)) == 255).all()


def test_a_pgm_whose_white_is_100_is_widened_too(tmp_path):
    rows = b"0 100 50 100 " * 4
    assert pixels(tmp_path, "a.pgm", b"P2 4 4 100\n" + rows, 1)[0, :, 0].tolist() == [0, 255, 128, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_a_telephones_picture_is_upright_as_viewers_show_it(tmp_path, ending, orientation):
    quarters = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((2, 2), np.uint8))
    turned = {
        1: quarters,
        2: quarters[:, ::-1],
        3: quarters[::-1, ::-1],
        4: quarters[::-1],
        5: quarters.T,
        6: np.rot90(quarters),
        7: np.rot90(quarters, 2).T,
        8: np.rot90(quarters, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    how = {"exif": exif, "quality": 100} | ({"lossless": True} if ending == "webp" else {})
    if ending == "tif":
        how = {"tiffinfo": {274: orientation}}
    found = pixels(tmp_path, f"a.{ending}", (Image.fromarray(np.ascontiguousarray(turned)), how), 1)[..., 0]
    assert np.abs(found.astype(int) - quarters).max() <= 2


def test_an_orientation_that_cannot_be_read_is_refused(tmp_path):
    broken = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0"  # five entries, the first beyond the end
    assert "'benign/a.jpg' cannot be read as an image" in refused(
        tmp_path, "a.jpg", (Image.fromarray(NOISE), {"exif": broken})
    )


def noise_with(alpha):
    image = Image.fromarray(np.dstack([NOISE, np.full((4, 4), 255, np.uint8)]))
    image.putpixel((0, 0), (1, 2, 3, alpha))
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_transparent_picture_is_refused_and_an_opaque_one_loses_its_alpha(tmp_path, ending, mode):
    assert f"'benign/a.{ending}' is transparent in places | save it without" in refused(
        tmp_path, f"a.{ending}", (noise_with(254).convert(mode), {})
    )
    opaque = noise_with(255).convert(mode)
    assert np.array_equal(pixels(tmp_path, f"a.{ending}", (opaque, {})), np.asarray(opaque.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_colour_that_means_transparent_is_refused_where_it_stands_in_the_picture(tmp_path, mode):
    black = {"RGB": (0, 0, 0)}.get(mode, 0)
    picture = Image.new(mode, (4, 4), {"RGB": (255, 0, 0), "P": 1}.get(mode, 255))
    if mode == "P":
        picture.putpalette([0, 0, 0, 255, 0, 0])
    assert pixels(tmp_path, "a.png", (picture, {"transparency": black})).shape == (4, 4, 3)
    picture.putpixel((1, 1), black)
    assert "is transparent in places" in refused(tmp_path, "a.png", (picture, {"transparency": black}))


def test_a_palette_with_a_transparency_for_each_colour_is_refused_where_one_in_use_is_not_opaque(tmp_path):
    picture = Image.fromarray(NOISE).quantize(4)
    assert "is transparent in places" in refused(tmp_path, "a.png", (picture, {"transparency": b"\xff\x80\xff\xff"}))
    assert np.array_equal(
        pixels(tmp_path, "a.png", (picture, {"transparency": b"\xff\xff"})), np.asarray(picture.convert("RGB"))
    )


def test_a_transparent_webp_is_refused(tmp_path):
    assert "is transparent in places" in refused(tmp_path, "a.webp", (noise_with(0), {"lossless": True}))


def test_colours_without_a_fixed_way_to_rgb_are_refused(tmp_path):
    assert "'benign/a.jpg' has colours of the kind CMYK | save it as grey or RGB" in refused(
        tmp_path, "a.jpg", (Image.new("CMYK", (4, 4)), {})
    )
    assert "has colours of the kind LAB" in refused(tmp_path, "a.tif", (Image.new("LAB", (4, 4)), {}))


def test_grey_and_palette_pictures_become_colour_and_colour_becomes_grey(tmp_path):
    noise = Image.fromarray(NOISE)
    palette = noise.quantize(8)
    assert np.array_equal(pixels(tmp_path, "a.png", (palette, {})), np.asarray(palette.convert("RGB")))
    grey = pixels(tmp_path, "a.png", (noise, {}), 1)[..., 0]
    assert np.abs(grey - NOISE @ [0.299, 0.587, 0.114]).max() <= 1
    assert np.array_equal(pixels(tmp_path, "a.png", (noise.convert("L"), {}))[..., 2], np.asarray(noise.convert("L")))
    assert np.array_equal(
        pixels(tmp_path, "a.tif", (noise.convert("YCbCr"), {})), np.asarray(noise.convert("YCbCr").convert("RGB"))
    )


def test_a_picture_that_moves_is_refused(tmp_path):
    two = [Image.new("RGB", (4, 4), shade) for shade in ("red", "blue")]
    for name in ("a.png", "a.webp", "a.tif"):
        assert "holds 2 images, expected one" in refused(
            tmp_path, name, (two[0], {"save_all": True, "append_images": two[1:]})
        )


def test_a_telephones_jpeg_with_a_preview_behind_is_its_first_picture(tmp_path):
    two = [Image.new("RGB", (4, 4), shade) for shade in ((200, 0, 0), (0, 0, 200))]
    found = pixels(tmp_path, "a.jpg", (two[0], {"format": "MPO", "save_all": True, "append_images": two[1:]}))
    assert found[0, 0, 0] > 190


def test_pillows_warnings_of_a_tag_are_refusals_and_not_lines_on_the_screen(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        strip_beyond = tiff(8, 1, 1, (65000, [1, 2, 3])).replace(
            struct.pack("<HHI", 65000, 3, 3), struct.pack("<HHI", 65000, 3, 1 << 30)
        )
        assert "'benign/a.tif' cannot be read as an image" in refused(tmp_path, "a.tif", strip_beyond)
        assert pixels(tmp_path, "a.tif", tiff(8, 1, 1, (296, [2, 2, 2]))).max() == 1  # a list where one value is due
