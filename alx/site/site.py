"""The folder of one organisation: its configuration, key, plan, peer, and where everything lies.

    site.toml       role, task, data; the site's own
    plan.toml       the agreement, and the model's .py file if it names one; init.safetensors: weights that were given
    key.pem         the private key, mode 0600; public.pem beside it
    age.key         where the plan encrypts: what opens bundles for this site, mode 0600
    rotations/      how keys were replaced, of this site and of its peer
    noise.key       where the plan has [privacy]: what its noise is drawn from, mode 0600
    data.sha256     digest of its own samples, where alx reads them; compared here, never sent
    identity.json   how this site introduced itself; peer.json and peer.pem: the pinned peer
    ledger.sqlite   what was sent and accepted
    events.sqlite   the security log: that, and what was refused and why
    listings/       where the data are very many pictures: which there are; a cache, made anew where it is gone
    work/           the turn in progress; gone when it is sealed
    kept/           where the plan says `keep`: the optimiser's state after the last turn; it never travels
    personal/       where the plan calls parts of the model personal: these, as of each snapshot; they never travel
    receipts/       of the peer's bundles, to go with the next disk; and the peer's of this site's
    outbox/ inbox/  bundles sealed here, bundles accepted
    staging/        a copy in progress
    lock

Knows the folder; knows no model and no loss.
"""

import contextlib
import dataclasses
import hashlib
import os
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from alx import files, plan
from alx.bundle import age, keys
from alx.bundle.keys import Unlock
from alx.bundle.signature import SIGNATURE_NAME
from alx.errors import AlxError, ConfigError, LedgerError, LimitError, TrustError, UsageError, escape
from alx.plan import PlanFile
from alx.records import Role, explain
from alx.site import events, keyring, ledger
from alx.site.keyring import KEY_NAME
from alx.site.ledger import LEDGER_NAME
from alx.site.site_file import SiteFile
from alx.site.state import SiteState

SITE_NAME = "site.toml"
PLAN_NAME = "plan.toml"
DATA_NAME = "data.sha256"
AGE_NAME = "age.key"
RETURNED = "returned"  # where a bundle lies that has to be imported again, after a reset
RECEIPTS = "receipts"
MAX_SITE_BYTES = 1 << 20  # site.toml is a page
MAX_CODE_BYTES = 1 << 20  # a model's source file


@dataclass(frozen=True)
class Site:
    """One organisation's side of one exchange.

    Attributes:
        folder: where it lies.
        config: site.toml.
        plan_file: plan.toml.
        unlock: asked for the private key's passphrase, if it has one.
    """

    folder: Path
    config: SiteFile
    plan_file: PlanFile
    unlock: Unlock | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def role(self) -> Role:
        """Learner or provider."""
        return self.config.role

    @property
    def plan(self) -> plan.Plan:
        """The agreement."""
        return self.plan_file.plan

    @property
    def least(self) -> int:
        """No number that leaves this site is of fewer samples: what the plan says, or site.toml where that is stricter.

        Raises:
            ConfigError: site.toml has less.
        """
        agreed, own = self.plan.least, self.config.disclosure.least
        if own is not None and own < agreed:
            raise ConfigError(
                f"[disclosure] least is {own} in {SITE_NAME}, expected {agreed} or more, which is the plan's",
                "a site may be stricter than the plan: take it out, or agree on another plan",
            )
        return own or agreed

    @property
    def ledger_path(self) -> Path:
        """The ledger's file."""
        return self.folder / LEDGER_NAME

    @property
    def events_path(self) -> Path:
        """The security log's file."""
        return self.folder / events.EVENTS_NAME

    @property
    def outbox(self) -> Path:
        """Bundles sealed here."""
        return self.folder / "outbox"

    @property
    def inbox(self) -> Path:
        """Bundles accepted here."""
        return self.folder / "inbox"

    def put_private_key(self, key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> None:
        """Write this site's private key anew, encrypted or not; a power cut leaves the file of before."""
        files.replace(self.folder / KEY_NAME, keys.private_pem(key, passphrase))

    def unlocked_by(self, unlock: Unlock) -> "Site":
        """The same site, with somebody to ask for the private key's passphrase."""
        return dataclasses.replace(self, unlock=unlock)

    @cached_property
    def secret(self) -> str | None:
        """What opens bundles that are encrypted to this site; None where the plan does not encrypt."""
        if not self.plan.encrypt:
            return None
        return keys.read_private(self.folder / AGE_NAME).decode("ascii", "replace").strip()

    @property
    def secret_here(self) -> str | None:
        """As `secret`; None too where the key is not there, as in an auditor's copy of the site."""
        return self.secret if (self.folder / AGE_NAME).exists() else None

    @property
    def recipient(self) -> str | None:
        """To what the peer encrypts; None where the plan does not encrypt."""
        return None if self.secret is None else age.recipient(self.secret)

    @property
    def code_digest(self) -> str | None:
        """SHA-256 of the model's own .py file, if the plan names one."""
        name = None if self.plan.model is None else self.plan.model.file()
        return None if name is None else hashlib.sha256(source(self.folder / name)).hexdigest()

    def look(self) -> SiteState:
        """What the site remembers, read now, without holding it.

        Raises:
            LedgerError: see `ledger.read`.
        """
        return SiteState(self, ledger.read(self.ledger_path))

    @contextlib.contextmanager
    def locked(self, command: str, about: str = "") -> Iterator[SiteState]:
        """Hold the site for one command, and record in the security log what it did or why it was refused.

        A rotation or a pairing that was killed is finished first.

        Args:
            command: its name, for the log.
            about: the bundle's folder or the file that it is about, for the log.

        Yields:
            What the site remembers: the one reading of the ledger.

        Raises:
            TrustError: others may write to the site's folder.
            LockedError: see `files.lock`.
            LedgerError: see `events.catch_up`.
        """
        with self.held(command, about):
            now = self.look()
            events.catch_up(self.events_path, now.entries)
            if keyring.unsettled(self.folder):
                with contextlib.suppress(
                    LedgerError
                ):  # no peer.json: all but alx pair, which puts it back, say so themselves
                    keyring.settle(self.folder, now.keyring, now.pairing)
            try:
                yield now
            except AlxError:  # what was recorded before the refusal stands before it in the log, with its time
                with contextlib.suppress(AlxError):
                    events.catch_up(self.events_path, now.entries)
                raise
            events.catch_up(self.events_path, now.entries)

    @contextlib.contextmanager
    def held(self, command: str, about: str = "") -> Iterator[None]:
        """As `locked`, for the one command that works on a site whose ledger or log is lost.

        Raises:
            TrustError: others may write to the site's folder.
            LockedError: see `files.lock`.
        """
        with files.lock(self.folder / "lock"):
            try:
                self.require_private()
                for left in self.folder.glob(".key*.pem.tmp"):  # of a killed command: the key as it was never put in place
                    files.remove_tree(left)
                yield
            except AlxError as error:
                try:
                    events.refused(self.events_path, command, about, error)
                except AlxError as another:
                    if another.message != error.message:  # else it is the log itself that is lost
                        error.message += f"; nor could the event log record this: {another.message}"
                raise

    def require_private(self) -> None:
        """What a command does that only looks at the site, and so takes no lock: refuse one that is not its owner's alone.

        Raises:
            TrustError: others may write to the site's folder.
        """
        with files.storage(self.folder):
            mode = stat.S_IMODE(self.folder.stat().st_mode)
        if mode & 0o022:
            where = escape(str(self.folder), 200)
            raise TrustError(
                f"others may write to the site's folder '{where}': its mode is {mode:04o}, expected 0700",
                f"if nobody did: chmod go-w {where}; otherwise restore the site from its backup; {files.NO_MODES}",
            )


def read_plan(path: Path) -> PlanFile:
    """plan.toml, with the operating system's refusals in our words; see `plan.load`."""
    with files.storage(path):
        return plan.load(path)


def source(path: Path) -> bytes:
    """A file of Python source."""
    with files.storage(path):
        if not path.is_file():
            raise UsageError(f"there is no file '{escape(str(path), 200)}'")
    try:
        return files.read(path, MAX_CODE_BYTES)
    except LimitError as error:
        raise ConfigError(f"{error.message}: a source file is no data") from error


def load(folder: Path) -> Site:
    """Open a site's folder.

    Raises:
        UsageError: it is none.
        ConfigError: its configuration cannot be used.
    """
    path = folder / SITE_NAME
    if not path.is_file():
        raise UsageError(f"'{escape(str(folder), 200)}' is no site: it has no {SITE_NAME}", "make one with alx init")
    try:
        config = SiteFile.model_validate(tomllib.loads(files.read(path, MAX_SITE_BYTES).decode("utf-8")))
    except ValidationError as error:
        raise ConfigError(f"{SITE_NAME}: {explain(error)}", "docs/site.md describes every field") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or a number of absurd length
        raise ConfigError(f"{SITE_NAME} is not TOML: {escape(str(error))}") from error
    return Site(folder.absolute(), config, read_plan(folder / PLAN_NAME))


def refuse_inside(path: Path) -> None:
    """Refuse to write for people at a place in a site or a bundle, their own or another's; links are followed.

    Args:
        path: as a person named it; the site's or the bundle's folder itself is such a place too.

    Raises:
        UsageError: names the site, or the bundle, which with one more file in it would be refused.
    """
    place = Path(os.path.realpath(path))
    beside = Path(os.path.realpath(path.parent))  # of a link that leads out of a site
    with files.storage(path):
        for mark, what, own, deep in ((SITE_NAME, "site", "its own", None), (SIGNATURE_NAME, "bundle", "what is signed", 3)):
            for folder in (*[place, *place.parents][:deep], *[beside, *beside.parents][:deep]):
                if (folder / mark).is_file():
                    where = escape(str(folder), 200)
                    raise UsageError(
                        f"'{escape(str(path), 200)}' lies in the {what} '{where}', which holds only {own}",
                        "name a place outside of it",
                    )


def find(start: Path) -> Site:
    """The site that holds `start`: this folder or the nearest one above it, like a git repository.

    Raises:
        UsageError: there is none.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / SITE_NAME).is_file():
            return load(folder)
    raise UsageError(
        f"'{escape(str(start.absolute()), 200)}' is not inside a site", "go to a site's folder, or name one with --site"
    )
