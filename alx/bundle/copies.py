"""Several copies of one bundle, taken together: a file is bad only where no copy has it good.

Knows folders as they were carried, and what a verified signature lists; knows no key and no site. A copy whose own
`round.sig` is broken or gone still lends its files: each is compared with the digest that another copy's signed.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alx.bundle import carried, read
from alx.bundle.carried import Source
from alx.bundle.signature import SIGNATURE_NAME, SignedBundle, SignedFile

_REMEDIES = (
    "copy the bundle again, or name another copy of it too with --also, or write with --request FILE what is bad: "
    "then the sender's alx export DISK --only FILE brings just that"
)


@dataclass(slots=True)
class Copies:
    """The folders, surveyed but not read, and where good files of this bundle were put before."""

    sources: list[Source]
    secret: str | None = None
    damage: dict[str, str] = field(default_factory=dict)
    """Files that no copy has good, and files that are not of the bundle; each with its reason."""
    _staged: Path | None = None

    def agree(self, signed: SignedBundle, staged: Path) -> None:
        """Take what one copy's verified signature says for all of them.

        Args:
            signed: what it says.
            staged: the folder that the bundle is copied to; what is good there needs no copy any more.
        """
        self._staged = staged
        for source in self.sources:
            read.compare(source, signed.files)
            for name in source.damage.keys() - signed.files.keys() - {SIGNATURE_NAME}:
                self.damage[name] = source.damage[name]

    def read_signed(self, signed: SignedFile) -> bytes | None:
        """The first copy's bytes that are what was signed; else None, and the reason is noted in `damage`."""
        if signed.name in carried.MANIFESTS and self._staged is not None:  # others are asked for where they are not
            data = read.copied(self._staged / signed.name, signed)
            if data is not None:
                return data
        for source in self.sources:
            data = source.read_signed(signed)
            if data is not None:
                return data
        reasons = [source.damage[signed.name] for source in self.sources]
        if len(reasons) > 1:
            reasons = [f"{why} in copy {i}" for i, why in enumerate(reasons, 1)]
        self.damage[signed.name] = ", ".join(reasons)
        return None

    def refuse_damage(self) -> None:
        """Raise `CorruptError` naming every bad file, if there is one."""
        carried.refuse(self.damage, _REMEDIES)


@contextlib.contextmanager
def survey(paths: Sequence[Path], secret: str | None = None) -> Iterator[Copies]:
    """Look at the folders: names, types and sizes; opens no file.

    Args:
        paths: at least one; one that is named twice counts once.
        secret: the age key for their files, where they may be encrypted.

    Raises:
        AlxError: see `carried.survey`; where there are several, one may do without `round.sig`.
    """
    once = dict.fromkeys(Path(os.path.abspath(p)) for p in paths)  # noqa: PTH100 - resolve() would follow a link on the disk
    with contextlib.ExitStack() as stack:
        yield Copies([stack.enter_context(carried.survey(p, secret, lends=len(once) > 1)) for p in once], secret)
