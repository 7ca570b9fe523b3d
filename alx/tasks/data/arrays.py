"""Arrays in an .npz, named as in MedMNIST: train_images, train_labels, and test_images, test_labels kept apart.

Where the plan selects on validation samples, val_images and val_labels are those.

Knows NumPy's file; unpickles nothing, and allocates nothing that a header claims and the file does not hold. A large array
that lies uncompressed in the file (numpy.savez, not savez_compressed) is mapped: it takes the memory of what is asked for.
"""

import contextlib
import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from alx import decoder
from alx.errors import ConfigError, escape
from alx.plan import Images, Plan
from alx.tasks.data import place
from alx.tasks.data.images import of_pixels
from alx.tasks.data.samples import Held, Tensors

NAMES = "arrays are named as in MedMNIST: train_images, train_labels, and test_images, test_labels where there are any"
MADE_BY = "columns"  # the array that says so; NAMES has no such one
_NUMBERS = 'save arrays of numbers: array.astype("float32")'
_WHOLE = "expected a whole .npz: copy it again, or save it with numpy.savez; nothing is unpickled"
MAPPED_FROM = 64 << 20  # bytes of an array: smaller ones are read, and the file may then change or go
_PIECE = 1 << 20  # bytes, while a checksum is looked at
_LOCAL_HEADER = 30  # bytes of a zip entry's own, before its name (APPNOTE 4.3.7); lengths of name and extra field at 26
_CHECKED = 1 << 12  # rows of numbers looked at at once
_NPY = b"\x93NUMPY"  # a single array begins with it
_GREY, _COLOUR = 3, 4  # dimensions of [n, h, w] and of [n, h, w, channels]

Array = np.ndarray[Any, Any]


def load(path: Path, kept: Path | None, plan: Plan) -> tuple[Held, Held | None]:
    """The samples of a file, and those kept apart: its test arrays, or those of the file `kept`.

    Raises:
        ConfigError: as `read`; or an array is not there, or the plan has [columns] that the numbers are not made by.
    """
    name = escape(path.name)
    refuse_columns(path, plan)
    own = read(place.checked(path, "file"), "train", plan.images)
    if own is None:
        raise ConfigError(f"'{name}' has no array train_images", NAMES)
    held_out = read(path if kept is None else place.checked(kept, "file"), "test", plan.images)
    if held_out is None and kept is not None:
        raise ConfigError(f"'{escape(kept.name)}', named by held_out, has no array test_images", NAMES)
    return own, held_out


def refuse_columns(path: Path, plan: Plan) -> None:
    """Refuse numbers that are not made by the plan's [columns].

    Raises:
        ConfigError: says so.
    """
    if plan.columns is not None and rows_made_by(place.checked(path, "file")) != plan.columns.model_dump_json():
        raise ConfigError(
            f"the plan has [columns], and the numbers of '{escape(path.name)}' are not made by them",
            "give the CSV itself, --data csv:FILE; or leave [columns] out of the plan, on both sides",
        )


def read(path: Path, part: str, images: Images | None, *, labelled: bool = True) -> Held | None:
    """One part of the file.

    Args:
        path: the .npz.
        part: train, val or test.
        images: the plan's account of an input, which numbers other than uint8 cannot have; None takes images as they are.
        labelled: False where nobody asks for labels: they are not looked for, and all targets are 0.

    Returns:
        `<part>_images` uint8 [n, h, w] or [n, h, w, 1 or 3] as images, numbers [n, …] as float32; `<part>_labels` [n]
        or [n, 1] as [n], whole numbers as int64 and others as float32. None if there is no such part.

    Raises:
        ConfigError: names the file, the array and the row.
    """
    name, what = escape(path.name), f"{part}_images"
    found = members(path, (what, f"{part}_labels" if labelled else "").__contains__)
    x, y = found.get(what), found.get(f"{part}_labels")
    if x is None:
        if y is not None:
            raise ConfigError(f"'{name}' has {part}_labels, and no {what}", NAMES)
        return None
    if not labelled:
        y = np.zeros(x.shape[:1], np.int64)
    if y is None:
        raise ConfigError(f"'{name}' has {what}, and no {part}_labels", NAMES)
    require_shapes(x, y, name, part)
    targets = _targets(y, name, f"{part}_labels")
    if images is None and not pixels_in(x):  # pairing compares that both sides have numbers, or both pixels
        return Tensors(_float32(x, name, what), targets)
    if x.dtype != np.uint8:
        raise ConfigError(
            f"'{name}' has {what} of {x.dtype}, and the plan has [images], which are made of uint8, 0 to 255",
            "save pixels as uint8; or leave [images] out of the plan, and scale and shape them alike on both sides",
        )
    require_pixels(x, name, what)
    pixels = torch.from_numpy(np.ascontiguousarray(x))
    pixels = pixels.unsqueeze(1) if x.ndim == _GREY else pixels.permute(0, 3, 1, 2)
    if pixels.nbytes < MAPPED_FROM:
        pixels = pixels.contiguous()
    return of_pixels(pixels, targets, images or Images(channels=1 if pixels.shape[1] == 1 else 3), path.name)


def pixels_in(x: Array) -> bool:
    """Whether an array is of images, where the plan does not say: uint8, and no table."""
    return bool(x.dtype == np.uint8 and x.ndim != 2)  # noqa: PLR2004 - rows and columns


def require_shapes(x: Array, y: Array, name: str, part: str) -> None:
    """Refuse arrays that are not as many samples as labels.

    Raises:
        ConfigError: says the shapes.
    """
    if x.ndim < 2 or y.ndim < 1 or len(x) != len(y) or 0 in (x.size, y.size):  # noqa: PLR2004 - samples, and something in each
        raise ConfigError(
            f"'{name}' has {part}_images of shape {list(x.shape)} and {part}_labels of shape {list(y.shape)}, "
            "expected as many labels as images, and at least one",
            NAMES,
        )


def require_pixels(x: Array, name: str, what: str) -> None:
    """Refuse uint8 that are not laid out as images.

    Raises:
        ConfigError: says the shape.
    """
    if x.ndim not in (_GREY, _COLOUR) or (x.ndim == _COLOUR and x.shape[3] not in (1, 3)):
        raise ConfigError(
            f"'{name}' has {what} of shape {list(x.shape)}, and images are uint8 [n, height, width] or "
            "[n, height, width, 3]",
            "put the channels last",
        )


def members(path: Path, wanted: Callable[[str], bool]) -> dict[str, Array]:
    """The arrays of the file whose names are wanted.

    Raises:
        ConfigError: it is no .npz, or is damaged.
    """
    with _entries(path) as (archive, entries):
        return {key: _array(archive, entry, path) for key, entry in entries.items() if wanted(key)}


@contextlib.contextmanager
def _entries(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """The file, open, and where each of its arrays lies in it."""
    name = escape(path.name)
    with decoder.reading(f"cannot read '{name}'", _WHOLE), path.open("rb") as file:
        if file.read(len(_NPY)) == _NPY:
            raise ConfigError(f"'{name}' is a single array (.npy), expected an .npz", NAMES)
        with zipfile.ZipFile(file) as archive:
            yield archive, {e.filename.removesuffix(".npy"): e for e in archive.infolist() if e.filename.endswith(".npy")}


def parts(path: Path) -> list[str]:
    """The parts whose images the file has: train, val, test.

    Raises:
        ConfigError: as `members`.
    """
    with _entries(path) as (_, entries):
        return [part for part in ("train", "val", "test") if f"{part}_images" in entries]


def shapes(path: Path) -> dict[str, str]:
    """Type and shape of each array of a file that can be read, by name: `uint8 [120, 28, 28]`."""
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if e.filename.endswith(".npy")]
        heads = {e.filename.removesuffix(".npy"): _head(archive, e) for e in entries}
    return {name: f"{dtype} {list(shape)}" for name, (shape, dtype, _) in heads.items()}


def rows_made_by(path: Path) -> str | None:
    """The [columns] that its numbers were made by, as JSON, where `alx simulate` dealt out a table; of no use by hand."""
    found = members(path, MADE_BY.__eq__).get(MADE_BY)
    return None if found is None else str(found)


def _head(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape and type by an array's header, and the bytes that follow it."""
    with archive.open(entry) as member:
        version = np.lib.format.read_magic(member)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(member)
        return shape, dtype, entry.file_size - member.tell()


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> Array:
    """One array, read only where its header and its size agree."""
    shape, dtype, there = _head(archive, entry)
    name = escape(path.name)
    what, claimed = f"'{name}' holds {escape(entry.filename)}, an array", math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise ConfigError(f"{what} of Python objects, and nothing is unpickled", _NUMBERS)
    if claimed != there:
        got = escape(f"{dtype} {list(shape)}")
        raise ConfigError(f"{what} of {got} with {there} bytes, expected {claimed}", "is it whole? copy it again")
    if entry.compress_type == zipfile.ZIP_STORED and there >= MAPPED_FROM:
        return _mapped(archive, entry, path)
    with archive.open(entry) as member:
        return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


def _mapped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> Array:
    """An array where it lies in the file, its checksum looked at once: pages of the file, which may be dropped again."""
    with archive.open(entry) as member:
        while member.read(_PIECE):
            pass
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        name, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:])
        begin = entry.header_offset + _LOCAL_HEADER + name + extra
        file.seek(begin)
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        order: Literal["F", "C"] = "F" if fortran else "C"
        # copy on write: torch warns of what cannot be written to, and nobody writes
        return np.asarray(np.memmap(path, dtype, "c", file.tell(), shape, order))


def _targets(y: Array, name: str, what: str) -> Tensor:
    if y.size == len(y):
        y = y.reshape(len(y))
    if y.dtype.kind in "biu":
        return torch.from_numpy(y.astype(np.int64))
    return _float32(y, name, what)


def _float32(values: Array, name: str, what: str) -> Tensor:
    """Numbers as float32, refused where there are none or where they are not finite."""
    if values.dtype.kind not in "biuf":
        raise ConfigError(f"'{name}' has {what} of type {values.dtype}, expected numbers", NAMES)
    with np.errstate(over="ignore"):  # told below
        numbers = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    rows = torch.split(numbers.reshape(len(numbers), -1), _CHECKED)
    bad = torch.cat([~torch.isfinite(part).all(1) for part in rows])
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ConfigError(f"'{name}' has NaN, or a number too large, in {what}[{row}]", "clean the data first")
    return numbers
