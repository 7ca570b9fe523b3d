"""Folders of image files: which of them are samples, in which order, and what is refused.

Knows names of files and the plan's [images]; decodes nothing itself.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from alx import picture
from alx.errors import ConfigError, escape
from alx.plan import Images, Plan
from alx.tasks.data import alike, listing, place, streamed
from alx.tasks.data.images import NormalisedImages, require_classes
from alx.tasks.data.listing import Entry, Listing
from alx.tasks.data.samples import Held
from alx.tasks.data.streamed import PLAIN, Loading, Streamed

DROPPINGS = ("thumbs.db", "desktop.ini", "__macosx")  # what file browsers and archivers leave; and all that begins with .


def load(path: Path, kept: Path | None, plan: Plan, loading: Loading = PLAIN) -> tuple[Held, Held | None]:
    """The images of a folder, and those of the folder `kept`; see `read`."""
    wanted = plan.images or Images()
    own = read(place.checked(path, "folder"), wanted, loading)
    return own, None if kept is None else read(place.checked(kept, "folder"), wanted, loading)


def read(path: Path, images: Images, loading: Loading = PLAIN) -> NormalisedImages | Streamed:
    """A folder for each class, named as in the plan, with image files in it; a class may be missing or empty.

    The order is that of the plan's classes, then of the file names. What begins with a dot is passed over; anything
    else that is no image of a kind that is read is refused, so that nothing is left out unnoticed: as it is read, at once
    or, where pixels do not fit into memory, when the picture is asked for.

    Args:
        path: the folder of the classes' folders.
        images: size and classes are needed.
        loading: how.

    Raises:
        ConfigError: names the file or the folder that cannot be used.
    """
    require_classes(images, "an image folder")
    return streamed.read(listed(path, images, loading.kept), images, loading)


def looks(path: Path, images: Images) -> list[picture.Look]:
    """How each image of a folder that `read` takes is stored, by the heads of the files, in its order."""
    return [picture.look(file) for file in listed(path, images)]


def listed(path: Path, images: Images, kept: Path | None = None) -> Listing:
    """Each image file with its label, at least one; see `read`.

    Args:
        path: the folder.
        images: the classes.
        kept: where listings are kept, or None.

    Raises:
        ConfigError: a file or a folder in it is no class of the plan; or there are no images.
    """
    hint = f"one folder for each class: {escape(', '.join(images.classes), 200)}"
    there = {entry.name: entry for entry in _visible(path)}
    for name, entry in there.items():
        if name not in images.classes:
            what = "a folder" if entry.is_dir() else "a file"
            raise ConfigError(
                f"'{escape(path.resolve().name)}' has {what} '{escape(name)}', which is no class of the plan",
                alike.hint(name, images.classes, hint),
            )
        if not entry.is_dir():
            raise ConfigError(f"'{escape(path.name)}/{escape(name)}' is a file, expected the folder of a class", hint)

    def found() -> Iterator[Entry]:
        for label, name in enumerate(images.classes):
            if name in there:
                yield from (Entry(label, os.fsencode(file)) for file in _names(there[name]))

    made = listing.of([path / name for name in images.classes], found, there.values(), kept, tarred=False)
    if not len(made):
        raise ConfigError(f"'{escape(str(path), 200)}' holds no images", hint)
    return made


def pictures(path: Path, images: Images) -> tuple[NormalisedImages, list[str]]:
    """The images of a folder and of the folders in it, whatever these are called, and the path of each within it.

    In the order of those paths; all targets are 0. What is passed over and what is refused is as in `folder`.

    Raises:
        ConfigError: as `folder`.
    """
    if images.size is None:
        raise ConfigError(
            "an image folder needs [images] size in the plan, the same on both sides", "docs/plan.md describes it"
        )
    found = [inner for each in _visible(path) for inner in (_visible(each) if each.is_dir() else (each,))]
    if not found:
        raise ConfigError(f"'{escape(str(path), 200)}' holds no images", "images, or folders of images")
    pixels = [picture.read(file, images.channels, images.size) for file in found]
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    targets = torch.zeros(len(found), dtype=torch.int64)
    # a name on Linux may be no text
    names = [os.fsencode(file.relative_to(path)).decode("utf-8", "backslashreplace") for file in found]
    return NormalisedImages(stacked, targets, images.mean, images.std), names


def _visible(path: Path) -> Iterator[Path]:
    return (path / name for name in _names(path))


def _names(path: Path) -> list[str]:
    """Those that count, sorted; nothing is asked of the files themselves."""
    try:
        with os.scandir(path) as found:
            names = [each.name for each in found]
    except OSError as error:
        raise ConfigError(f"cannot read the folder '{escape(str(path), 200)}': {error.strerror}") from error
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in DROPPINGS)
