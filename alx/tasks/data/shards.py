"""Pictures in tar files, one or a folder of them, read by offset where they lie; nothing is ever unpacked.

Knows tar's members and the plan's [images]. A picture's class is the folder that it lies in, `cat/7.jpg`; or, as
WebDataset writes, a member of the same name, `7.cls`, has the class's number in it. A tar may be hostile: its members are
names and numbers here, and what is no plain file at a place within the tar is refused.
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from alx import decoder, picture
from alx.errors import ConfigError, escape
from alx.plan import Images, Plan
from alx.tasks.data import alike, listing, streamed
from alx.tasks.data.images import NormalisedImages, require_classes
from alx.tasks.data.listing import Entry, Listing
from alx.tasks.data.samples import Held
from alx.tasks.data.streamed import PLAIN, Loading, Streamed

ENDING = ".tar"
CLASS = ".cls"
MOST_DIGITS = 9  # of a class's number
MOST_BYTES = 1 << 28  # of a picture as it is stored: it is read at once, and none of 8 bits a channel needs more
DEEPEST = 2  # a folder and a name


def load(path: Path, kept: Path | None, plan: Plan, loading: Loading = PLAIN) -> tuple[Held, Held | None]:
    """The pictures of a tar or of a folder of tars, and those of `kept`; see `read`."""
    wanted = plan.images or Images()
    return read(path, wanted, loading), None if kept is None else read(kept, wanted, loading)


def read(path: Path, images: Images, loading: Loading = PLAIN) -> NormalisedImages | Streamed:
    """All pictures, in the order of the plan's classes, then of their names, then of the tars: however they lie.

    Raises:
        ConfigError: names the tar, and the member that cannot be used.
    """
    require_classes(images, "a tar of pictures")
    return streamed.read(listed(path, images, loading.kept), images, loading)


def pictures(path: Path, images: Images, loading: Loading = PLAIN) -> tuple[NormalisedImages | Streamed, list[str]]:
    """All pictures, whatever their folders are called, and the path of each, behind its tar's name where there are several.

    In the order of their paths within a tar; all targets are 0, and no .cls is looked at.

    Raises:
        ConfigError: as `read`, but for classes.
    """
    if images.size is None:
        raise ConfigError(
            "a tar of pictures needs [images] size in the plan, the same on both sides", "docs/plan.md describes it"
        )
    found = listed(path, images.model_copy(update={"classes": []}), loading.kept)
    # a name on Linux may be no text
    names = [
        os.fsencode(str(each.path) if path.is_file() else f"{each.tar.name}/{each.path}").decode("utf-8", "backslashreplace")
        for each in found
        if isinstance(each, picture.Member)
    ]
    return streamed.read(found, images, loading), names


def looks(path: Path, images: Images) -> list[picture.Look]:
    """How each picture is stored, in the order of `read`."""
    return [picture.look(member) for member in listed(path, images)]


def listed(path: Path, images: Images, kept: Path | None = None) -> Listing:
    """Where each picture lies, at least one; see `read`.

    Args:
        path: a tar, or a folder of them.
        images: the classes; of none, nothing is asked of folders, and the label of each is 0.
        kept: where listings are kept, or None.

    Raises:
        ConfigError: see `read`.
    """
    tars = _tars(path)
    watched = [*tars, path] if path.is_dir() else tars
    classes = [Path(name) for name in images.classes]  # another plan's listing is another

    def found() -> list[Entry]:
        every = [entry for shard, tar in enumerate(tars) for entry in _entries(tar, shard, images.classes)]
        return sorted(every)

    made = listing.of([*tars, *classes], found, watched, kept, tarred=True)
    if not len(made):
        raise ConfigError(f"'{escape(str(path), 200)}' holds no pictures", f"kinds: {', '.join(picture.ENDINGS)}")
    return made


def _tars(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"there is no data at '{escape(str(path), 200)}'", "look at --data, or at [data] in site.toml")
    there = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    for each in there:
        if each.suffix != ENDING or not each.is_file():
            raise ConfigError(f"'{escape(path.name)}/{escape(each.name)}' is no {ENDING}", "move it elsewhere")
    if not there:
        raise ConfigError(f"'{escape(str(path), 200)}' holds no {ENDING}", "name a tar, or a folder of them")
    return there


def _entries(tar: Path, shard: int, classes: list[str]) -> Iterator[Entry]:
    """The pictures of a tar with their labels."""
    name, numbered, unlabelled = escape(tar.name), dict[str, int](), dict[str, Entry]()
    with (
        decoder.reading(f"cannot read '{name}'", "expected a tar that is not compressed: gunzip it, or copy it again"),
        tar.open("rb") as file,
        tarfile.open(fileobj=file, mode="r:") as archive,
    ):
        for path, info in _members(file, archive, name, tar.stat().st_size):
            key, entry = (
                str(path.with_suffix("")),
                Entry(0, str(path).encode("utf-8", "surrogateescape"), shard, info.offset_data, info.size),
            )
            if path.suffix == CLASS:
                if classes:
                    numbered[key] = _number(file, info, f"'{name}/{escape(str(path), 200)}'", len(classes))
            elif not classes:
                yield entry
            elif path.parent.name:
                yield entry._replace(label=_label(path.parent.name, classes, name))
            elif key in unlabelled:
                raise ConfigError(f"'{name}' holds two pictures called '{escape(key, 200)}'", "expected one for each class")
            else:
                unlabelled[key] = entry
        odd = next(iter(unlabelled.keys() ^ numbered.keys()), None)
        if odd is not None:
            got, lacks = ("a picture", CLASS) if odd in unlabelled else (CLASS, "picture")
            raise ConfigError(
                f"'{name}' holds {got} '{escape(odd, 200)}' and no {lacks} of that name",
                "a picture lies in the folder of its class, or beside a .cls with its number",
            )
    yield from (entry._replace(label=numbered[key]) for key, entry in unlabelled.items())


def _members(
    file: BinaryIO, archive: tarfile.TarFile, name: str, length: int
) -> Iterator[tuple[PurePosixPath, tarfile.TarInfo]]:
    """The pictures and the .cls of a tar of so many bytes, which is whole."""
    seen: set[str] = set()
    while (info := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined] # it remembers each: a gigabyte for a million
        if info.isdir():
            continue
        path = _checked(info, name, length)
        if str(path) in seen:
            raise ConfigError(f"'{name}' holds '{escape(str(path), 200)}' twice", "a tar was added to: make it anew")
        seen.add(str(path))
        if path.suffix != CLASS and path.suffix.lower() not in picture.ENDINGS:
            raise ConfigError(
                f"'{name}/{escape(str(path), 200)}' is no image of a kind that is read",
                f"kinds: {', '.join(picture.ENDINGS)}; and {CLASS}, the number of a picture's class",
            )
        yield path, info
    file.seek(archive.offset)  # tarfile takes a damaged header for the end
    if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise ConfigError(f"'{name}' is damaged, or cut off, at byte {archive.offset:,}", "copy it again")


def _checked(info: tarfile.TarInfo, tar: str, length: int) -> PurePosixPath:
    """What a member is called, where it is a plain file at a plain place."""
    told, path = f"'{tar}' holds '{escape(info.name, 200)}'", PurePosixPath(info.name)
    if not info.isreg() or info.issparse():
        what = "a link" if info.issym() or info.islnk() else "a sparse file" if info.issparse() else "a device or pipe"
        raise ConfigError(f"{told}, {what}, expected plain files", "make the tar anew of plain files: tar --dereference")
    if path.is_absolute() or ".." in path.parts or not path.name or len(path.parts) > DEEPEST:
        raise ConfigError(f"{told}, expected a name, or a class's folder and a name", "tar -C FOLDER -cf FILE.tar CLASS …")
    if not info.name.isprintable() and any(ord(c) < 32 or ord(c) == 127 for c in info.name):  # noqa: PLR2004 - ASCII's own
        raise ConfigError(f"{told}, with control characters in its name", "rename it, and make the tar anew")
    if not 0 < info.size <= MOST_BYTES or info.offset_data + info.size > length:
        raise ConfigError(
            f"{told} of {info.size:,} bytes, expected 1 to {MOST_BYTES:,}, all of them in the tar",
            "is it whole? copy it again",
        )
    return path


def _label(folder: str, classes: list[str], tar: str) -> int:
    if folder not in classes:
        hint = f"one folder for each class: {escape(', '.join(classes), 200)}"
        raise ConfigError(
            f"'{tar}' has a folder '{escape(folder)}', which is no class of the plan", alike.hint(folder, classes, hint)
        )
    return classes.index(folder)


def _number(file: BinaryIO, info: tarfile.TarInfo, told: str, classes: int) -> int:
    """The class's number in a .cls."""
    here = file.tell()
    file.seek(info.offset_data)
    said = file.read(min(info.size, MOST_DIGITS + 1)).strip()
    file.seek(here)
    if not said.isdigit() or info.size > MOST_DIGITS + 1 or int(said) >= classes:
        raise ConfigError(
            f"{told} says {escape(repr(said))}, expected the number of a class, 0 to {classes - 1}", "see [images] classes"
        )
    return int(said)
