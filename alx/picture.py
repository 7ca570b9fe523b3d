"""One image file as pixels of 8 bits: what a model gets of it, or why that would be something else.

Knows Pillow and its formats; knows no class and no plan.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from alx import decoder
from alx.errors import ConfigError, escape

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")  # Pillow's decoders for these endings, and no other
DEEPEST = 8  # bits a channel; Pillow would cut what is deeper, and a scan would come out white
_COLOURS = ("1", "L", "P", "RGB", "YCbCr")  # Pillow's modes whose way to grey or RGB is fixed, as CMYK's and LAB's is not
_ALPHA = ("LA", "PA", "RGBA")
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_BITS_PER_SAMPLE, _SAMPLE_FORMAT, _SIGNED = 258, 339, 2  # TIFF 6.0, sections 8 and 19
_ORIENTATION, _LYING = 274, 5  # EXIF 2.3, 4.6.4 A: from 5 on rows and columns change places
_PNG_DEPTH = 24  # PNG (RFC 2083), 3.1 and 4.1.1: signature 8, length 4, "IHDR", width 4, height 4, and then one byte


@dataclass(frozen=True, slots=True)
class Member:
    """A picture within a tar, which is read where it lies: nothing is unpacked.

    Attributes:
        tar: the file.
        path: what it is called in there.
        at: offset of its first byte.
        size: bytes.
    """

    tar: Path
    path: PurePosixPath
    at: int
    size: int

    @property
    def name(self) -> str:
        """Without its folders."""
        return self.path.name

    @property
    def suffix(self) -> str:
        """`.png`, say."""
        return self.path.suffix

    @property
    def parent(self) -> PurePosixPath:
        """Its folder in the tar; the tar where it has none."""
        return self.path.parent if self.path.parent.name else PurePosixPath(self.tar.name)


def _is_file(file: Path | Member) -> bool:
    return isinstance(file, Member) or file.is_file()


def _bytes(file: Path | Member) -> BinaryIO:
    """Open; a member's bytes are in memory."""
    if isinstance(file, Path):
        return file.open("rb")
    with file.tar.open("rb") as tar:
        tar.seek(file.at)
        return io.BytesIO(tar.read(file.size))


def read(file: Path | Member, channels: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """One picture, upright as viewers show it, and resized.

    Args:
        file: its folder and its name stand in messages.
        channels: 1 for grey, 3 for colour.
        size: height, width.

    Returns:
        uint8 [height, width, channels].

    Raises:
        ConfigError: it is damaged, or its pixels would have to be cut, mixed or guessed to become these.
    """
    name = f"'{escape(file.parent.name)}/{escape(file.name)}'"
    if file.suffix.lower() not in ENDINGS or not _is_file(file):
        raise ConfigError(f"{name} is no image of a kind that is read", f"kinds: {', '.join(ENDINGS)}; or move it elsewhere")
    with decoder.reading(f"{name} cannot be read as an image", "save it anew, replace it, or move it elsewhere"):
        _heed_warnings()
        with _bytes(file) as opened, _opened(opened, name) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a telephone's JPEG with a preview behind
                raise ConfigError(f"{name} holds {image.n_frames} images, expected one")  # type: ignore[attr-defined]
            _refuse_deep(opened, image, name)
            shown = _opaque(ImageOps.exif_transpose(image), name).convert("L" if channels == 1 else "RGB")
            shown = shown.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(shown).reshape(*size, channels)


class Look(NamedTuple):
    """How a picture is stored: its size as people see it, and Pillow's mode."""

    height: int
    width: int
    mode: str


def look(file: Path | Member) -> Look:
    """How a picture that `read` takes is stored; no pixel is decoded.

    Raises:
        ConfigError: it cannot be read.
    """
    name = f"'{escape(file.parent.name)}/{escape(file.name)}'"
    with decoder.reading(f"{name} cannot be read as an image", "save it anew, replace it, or move it elsewhere"):
        _heed_warnings()
        with _bytes(file) as opened, _opened(opened, name) as image:
            size = image.size[::-1] if image.getexif().get(_ORIENTATION, 1) < _LYING else image.size
            return Look(*size, image.mode)


def _heed_warnings() -> None:
    """Pillow warns of a tag that it cannot read and goes on without it, be it the orientation or whether 0 is white."""
    warnings.simplefilter("error", UserWarning)
    warnings.filterwarnings("ignore", "Metadata Warning, tag")  # several values where one is due: it takes the first
    warnings.filterwarnings("ignore", "Image appears to be a malformed MPO")  # a telephone's JPEG, edited: no preview


def _opened(file: BinaryIO, name: str) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ConfigError(
            f"{name} cannot be read as an image: its head is damaged, or of another kind",
            f"kinds: {', '.join(FORMATS)}, of {DEEPEST} bits a channel at most; replace it, or move it elsewhere",
        ) from error


def _refuse_deep(file: BinaryIO, image: Image.Image, name: str) -> None:
    """By what the file says: a decoder's mode is what is left after it cut the pixels down."""
    hint = "scale it to whole numbers from 0 to 255 first, on purpose"
    bits = 32 if image.mode[0] in "IF" else DEEPEST  # what other formats have is 8, or no mode of Pillow's
    if image.format == "PNG":
        begun = file.tell()
        file.seek(_PNG_DEPTH)
        bits = file.read(1)[0]
        file.seek(begun)  # Pillow goes on from there
    elif image.format == "PPM":
        told = image.tile[0][3]  # type: ignore[attr-defined] # the decoder: with the greatest value, but for 255 and 65535
        greatest = [n for n in told if isinstance(n, int)] or [65535 if image.mode == "I" else 0]
        bits = max(greatest).bit_length() or bits
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
        if _SIGNED in image.tag_v2.get(_SAMPLE_FORMAT, ()) and bits <= DEEPEST:
            raise ConfigError(f"{name} has pixels below 0 (signed samples), expected 0 to 255", hint)
    if bits > DEEPEST:
        raise ConfigError(f"{name} has {bits} bits a channel, expected {DEEPEST} at most", hint)


def _opaque(image: Image.Image, name: str) -> Image.Image:
    """The image, refused where it is transparent: what would show through is not in the file."""
    image = image.convert(_PREMULTIPLIED.get(image.mode, image.mode))
    if image.mode not in _COLOURS + _ALPHA:
        raise ConfigError(f"{name} has colours of the kind {image.mode}", "save it as grey or RGB")
    if image.mode in _ALPHA or "transparency" in image.info:
        if image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise ConfigError(
                f"{name} is transparent in places", "save it without transparency, on a background of your choice"
            )
        image.info.pop("transparency", None)
    return image
