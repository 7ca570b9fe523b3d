"""Copies of one bundle, or its shares on several disks, and its parity: a file is bad only where none has it good.

Knows folders as they were carried, and what a verified signature lists; knows no key and no site. A copy whose own
`round.sig` is broken or gone still lends its files: each is compared with the digest that another copy's signed.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alx import files
from alx.bundle import carried, parity, read, share
from alx.bundle.carried import Source
from alx.bundle.share import Share
from alx.bundle.signature import SIGNATURE_NAME, SignedBundle, SignedFile
from alx.errors import AlxError, IncompleteError, SpaceError, UsageError, count, escape

_REMEDIES = (
    "copy the bundle again, or name another copy of it too, or write with --request FILE what is bad: "
    "then the sender's alx export DISK --only FILE brings just that"
)


@dataclass(slots=True)
class Copies:
    """The folders, surveyed but not read, and where good files of this bundle were put before."""

    sources: list[Source]
    secret: str | None
    """The age key that opens its files, where they are encrypted and it is at hand."""
    _parity: dict[Path, str]
    """The parity folders, looked at where a copy is bad only, each with what is wrong with it."""
    _stack: contextlib.ExitStack
    damage: dict[str, str] = field(default_factory=dict)
    """Files that no copy has good, and files that are not of the bundle; each with its reason."""
    rebuilt: int = 0
    """Number of files that came out of parity."""
    _elsewhere: dict[str, Share] = field(default_factory=dict)
    """Files that lie on disks of which no folder is here, by their names."""
    _spares: list[Source] | None = None
    _staged: Path | None = None

    def spares(self) -> list[Source]:
        """The parity folders, surveyed. One that is no such thing does not help, and harms nothing."""
        if self._spares is None:
            self._spares = []
            for path in self._parity:
                with self._helping(path) if self.sources else contextlib.nullcontext():
                    self._spares.append(self._stack.enter_context(carried.survey(path, lends=True)))
        return self._spares

    def agree(self, signed: SignedBundle, staged: Path) -> None:
        """Take what one copy's verified signature says for all of them.

        Args:
            signed: what it says.
            staged: the folder that the bundle is copied to; what is good there needs no copy any more.
        """
        self._staged = staged
        found = [part for source in self.sources if (part := share.take(source, signed)) is not None]
        here = {part.folder(signed.name) for part in found}
        for part in found:
            every = (Share(k, part.counts) for k in range(1, len(part.counts) + 1))
            for other in (each for each in every if each.folder(signed.name) not in here):
                self._elsewhere |= {f.name: other for f in read.data_files(other.of(signed))}
        for source in self.sources:
            read.compare(source, signed.files)
            for name in source.damage.keys() - signed.files.keys() - {SIGNATURE_NAME}:
                self.damage[name] = source.damage[name]

    def read_signed(self, signed: SignedFile) -> bytes | None:
        """The first copy's bytes that are what was signed; else None, and the reason is noted in `damage`."""
        manifest = signed.name in carried.MANIFESTS
        if manifest and self._staged is not None:  # whoever asks for another file has looked there
            data = read.copied(self._staged / signed.name, signed)
            if data is not None:
                return data
        for source in self.sources:
            data = source.read_signed(signed)
            if data is not None:
                return data
        for source in self.spares() if manifest else ():
            with self._helping(source.path):
                data = source.read_signed(signed)
                if data is not None:
                    return data
        reasons = [source.damage[signed.name] for source in self.sources]
        if len(reasons) > 1:
            reasons = [f"{why} in folder {i}" for i, why in enumerate(reasons, 1)]
        self.damage[signed.name] = ", ".join(reasons) or "is missing"
        return None

    def copy(self, signed: SignedBundle, signature_bytes: bytes, folder: Path) -> None:
        """Copy the bundle as `read.copy` does; what no copy has good is rebuilt from parity, if there is any.

        Args:
            signed: what was verified.
            signature_bytes: the verified bytes of `round.sig`.
            folder: private staging.

        Raises:
            CorruptError: names every bad file; the good ones stay in `folder`.
            IncompleteError: no file is bad, and some lie on a disk that is not here; the others stay in `folder`.
            SpaceError, StorageError: see `files.storage`.
        """
        read.copy_files(self, signed.files.values(), folder)
        for source in self.spares() if self.damage.keys() & signed.files.keys() else ():
            with self._helping(source.path):
                for name in parity.rebuild(source, signed, folder, self.damage.keys() & signed.files.keys()):
                    del self.damage[name]
                    self.rebuilt += 1
        awaited = self._awaited()
        self.refuse_damage(_to_come(awaited, signed))
        if awaited:
            was_here = bool(_came(awaited, signed))
            raise IncompleteError(_to_come(awaited, signed), _next(awaited, signed), to_come=not was_here)
        files.write(folder / SIGNATURE_NAME, signature_bytes)

    def _awaited(self) -> dict[str, Share]:
        """What is missing because it lies on another disk; it is no damage."""
        out = {
            name: part
            for name, part in self._elsewhere.items()
            if name in self.damage and all(source.damage.get(name) == read.MISSING for source in self.sources)
        }
        for name in out:
            del self.damage[name]
        return out

    @contextlib.contextmanager
    def _helping(self, path: Path) -> Iterator[None]:
        """Whatever is wrong with parity, the bundle is refused for its own bad files: note it and go on."""
        try:
            yield
        except SpaceError:
            raise
        except AlxError as error:
            self._parity[path] = f"{error.message} ({error.hint})" if error.hint else error.message

    def refuse_damage(self, more: str = "") -> None:
        """Raise `CorruptError` naming every bad file, if there is one, and what `more` there is to say."""
        told = [f"the parity in '{escape(p.name)}' does not help: {why}" for p, why in self._parity.items() if why]
        carried.refuse(self.damage, _REMEDIES, "; ".join([*told, *([more] if more else [])]))


def _to_come(awaited: Mapping[str, Share], signed: SignedBundle) -> str:
    """Which disks are still to come, and what lies on them, in words; nothing where none is."""
    if not awaited:
        return ""
    parts = list(dict.fromkeys(awaited.values()))
    which = " and ".join(f"{part.disk} of {len(part.counts)}" for part in parts)
    size = files.size(sum(signed.files[name].size for name in awaited))
    return (
        f"{'disk' if len(parts) == 1 else 'disks'} {which} {'is' if len(parts) == 1 else 'are'} still to come, with "
        f"{count(len(awaited), 'file')} of the bundle ({size})"
    )


def _came(awaited: Mapping[str, Share], signed: SignedBundle) -> list[Share]:
    """The disks that were here, and that not all came from."""
    parts = dict.fromkeys(awaited.values())
    return [p for p in parts if any(f.name not in awaited for f in read.data_files(p.of(signed)))]


def _next(awaited: Mapping[str, Share], signed: SignedBundle) -> str:
    """What to do: put a disk in; or, where it was here before and not all of it was good, have its files again."""
    parts = list(dict.fromkeys(awaited.values()))
    which = " and ".join(f"DISK/{part.folder(signed.name)}" for part in parts)
    came = _came(awaited, signed)
    if not came:
        return f"put it in, and run: alx import-and-select {which}; what is here was kept"
    disks = " and ".join(str(part.disk) for part in came)
    return (
        f"disk {disks} was here already, and not all of it was good: with a good copy, or with --request FILE to ask the "
        f"sender for what is bad, run: alx import-and-select {which}; what is here was kept"
    )


@contextlib.contextmanager
def survey(paths: Sequence[Path], secret: str | None = None) -> Iterator[Copies]:
    """Look at the folders: names, types and sizes; opens no file.

    Args:
        paths: at least one; one that is named twice counts once. A name that ends in `.parity` is parity, and so is such
            a folder beside another one.
        secret: the age key for their files, where they may be encrypted.

    Raises:
        UsageError: there is no such folder, or it is /.
        AlxError: see `carried.survey`; where there are several, one may do without `round.sig`.
    """
    once = dict.fromkeys(files.named(p) for p in paths)
    bundles = [p for p in once if p.suffix != parity.SUFFIX]
    spare = dict.fromkeys((p for p in once if p.suffix == parity.SUFFIX), "")
    for path in spare:
        with files.storage(path):
            if not path.is_dir():
                raise UsageError(f"there is no folder '{escape(str(path), 200)}'", "is the disk there?")
    for path in bundles:
        if not path.name:
            raise UsageError("/ is no bundle", "name the folder that holds round.sig")
        beside = path.with_name(path.name + parity.SUFFIX)
        with files.storage(beside):
            if beside.is_dir():
                spare.setdefault(beside, "")
    with contextlib.ExitStack() as stack:
        lends = len(bundles) + len(spare) > 1
        sources = [stack.enter_context(carried.survey(p, secret, lends=lends)) for p in bundles]
        yield Copies(sources, secret, spare, stack)
