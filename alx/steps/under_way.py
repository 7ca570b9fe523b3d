"""What is begun here and not done: a turn that is being trained, a bundle of which a part has come.

Knows names and sizes of what commands leave for one another; opens no model. It is for people: no command goes by it.
"""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from alx import files
from alx.bundle.layout import DATA_FOLDER, MANIFEST_NAME
from alx.bundle.signature import SIGNATURE_NAME
from alx.errors import AlxError, count, escape
from alx.site import shelf, work
from alx.site.state import SiteState

_STAGED = re.compile(r"[0-9a-f]{64}")  # a bundle's digest


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was begun.

    Attributes:
        step: up to which snapshots are kept; None before the first one.
        planned: the turn's steps.
    """

    step: int | None
    planned: int

    @property
    def words(self) -> str:
        """The same for people."""
        kept = "nothing of it is kept yet" if self.step is None else f"snapshots up to step {self.step:,} are kept"
        return (
            f"a turn of {count(self.planned, 'step')} is under way: {kept}; where no alx train-local runs, the same command "
            "goes on with it"
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """A bundle of which good files were kept, and that was not accepted yet.

    Attributes:
        bundle: its name; None where its manifest has not come, or cannot be read here.
        files: how many came, one of which may be half written where an import was stopped; `of`: all that it has, where its
            manifest says so.
        nbytes: of those that came.
    """

    bundle: str | None
    files: int
    of: int | None
    nbytes: int

    @property
    def words(self) -> str:
        """The same for people."""
        came = count(self.files, "file") if self.of is None else f"{self.files} of {self.of} files"
        which = "a bundle" if self.bundle is None else f"'{escape(self.bundle)}'"
        return (
            f"a part of {which} is here: up to {came}, {files.size(self.nbytes)}; still to come is what lies on another "
            "disk, or came damaged: alx import-and-select takes it in beside"
        )


@dataclass(frozen=True, slots=True)
class Approvals:
    """Of a bundle that officers have to approve before it goes out.

    Attributes:
        there: how many are.
        of: how many have to be.
        command: what an officer types.
        wrong: why one that lies there cannot be taken, which alx export would say too; None where none is wrong.
    """

    there: int
    of: int
    command: str
    wrong: str | None

    @property
    def words(self) -> str:
        """The same for people."""
        if self.wrong is not None:
            return f"approvals: one cannot be taken: {self.wrong}"
        return f"approvals: {self.there} of {self.of} that the plan asks for are there"


def approvals(now: SiteState) -> Approvals | None:
    """Of the bundle that is to be handed over next, where the plan has officers of this side."""
    officers = now.site.plan.approvers(now.site.role)
    if officers is None or now.position.step != "export":
        return None
    from alx.bundle import approval  # noqa: PLC0415 - where a plan has officers alone
    from alx.steps import outgoing  # noqa: PLC0415 - as above

    last = now.position.sealed[-1]
    path = shelf.place(now.site, last)
    command = outgoing.approve_command(now, path)
    try:
        found = approval.collected([approval.folder(path, last.bundle)], last.digest, officers)
    except AlxError as error:
        return Approvals(0, officers.threshold, command, error.message)
    return Approvals(len(found), officers.threshold, command, None)


def turn(now: SiteState) -> Turn | None:
    """The turn that this site is at, where it was begun."""
    site, position = now.site, now.position
    if position.step != "train":
        return None
    steps = site.plan.steps(site.role, now.own.file.samples, now.peer.file.samples)
    begun = work.begun(site.folder / "work")
    if begun is None or (begun.round, begun.plan, begun.steps) != (position.round, site.plan_file.digest, steps):
        return None
    return Turn(begun.step, steps)


def arrival(now: SiteState) -> Arrival | None:
    """The bundle of which a part lies in staging, where one is awaited; the newest, if there are several."""
    folder = now.site.folder / "staging"
    if now.position.step not in ("import", "import-closing"):
        return None
    with files.storage(folder):
        there = [p for p in folder.iterdir() if _STAGED.fullmatch(p.name)] if folder.is_dir() else []
        found = max(there, key=lambda p: p.stat().st_mtime, default=None)
        if found is None or (found / SIGNATURE_NAME).exists():  # whole: the next import begins by it
            return None
        came = [p for place in (found, found / DATA_FOLDER) if place.is_dir() for p in place.iterdir() if p.is_file()]
        nbytes = sum(p.stat().st_size for p in came)
    name, whole = _said(found / MANIFEST_NAME)
    return Arrival(name, len(came), whole, nbytes) if came else None


def _said(path: Path) -> tuple[str | None, int | None]:
    """A bundle's name, and how many files it has; of one that is encrypted, or a closing, nothing."""
    from alx.bundle import manifest  # noqa: PLC0415 - where there is one alone

    with contextlib.suppress(AlxError), files.storage(path):
        if path.is_file():
            said = manifest.parse(files.read(path, manifest.MAX_MANIFEST_BYTES))
            moments = [] if said.told is None else said.told.files
            return said.name(), 1 + sum(len(c.files) for c in said.candidates) + len(moments)
    return None, None
