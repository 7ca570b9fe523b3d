"""What the ledger records: one class for each kind of entry; and the same as events, beside what only the event log has.

Knows values; knows no file. A record's body is one JSON object: its fields, in their order.
"""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter

from alx import order
from alx.records import Role

if TYPE_CHECKING:  # the ledger is read without it
    from alx.bundle.closing import Closing
    from alx.bundle.identity import Identity
    from alx.bundle.manifest import Manifest
    from alx.bundle.rotation import Rotation

Count = Annotated[int, Field(ge=1, lt=1 << 63)]
_Made = TypeVar("_Made")
_OWN = {"UsageError", "ConfigError", "DivergedError", "SpaceError", "StorageError"}
_LEFT_OUT = (
    "request",
    "files",
    "names",
    "parity",
    "disks",
    "metrics",
    "officers",
    "back",
    "to_come",
)  # of a body, where they are None


class Created(NamedTuple):
    """The site was made: role, fingerprint of its key, digest of the plan."""

    role: Role
    key: str
    plan: str


class Paired(NamedTuple):
    """A peer was pinned, after two people compared the words: digests of both identity files, key, sample count."""

    identity: str
    own_identity: str
    key: str
    samples: int

    @classmethod
    def of(cls, peer: "Identity", own: "Identity") -> Self:
        """As both introduced themselves."""
        return cls(identity=peer.digest, own_identity=own.digest, key=peer.key.fingerprint, samples=peer.file.samples)


class Renewal(NamedTuple):
    """A key was replaced by another: both fingerprints, and the digest of the rotation file."""

    old: str
    new: str
    file: str

    @classmethod
    def of(cls, rotation: "Rotation") -> Self:
        """As the rotation says."""
        return cls(old=rotation.old.fingerprint, new=rotation.new.fingerprint, file=rotation.digest)


class Rotated(Renewal):
    """This site's key was replaced: fingerprints of the old and the new one, digest of the rotation file."""

    __slots__ = ()


class PeerRotated(Renewal):
    """The peer's new key was pinned, after two people compared its words: the same fields."""

    __slots__ = ()


class Turn(NamedTuple):
    """A turn's bundle, or the closing: its folder's name, its digest, those of its sender's last and of what it answers.

    Attributes:
        officers: of what was accepted, fingerprints of the sender's officers who had approved it; None where the plan has
            none, and after a reset.
        back: it had been handed over before the site was restored, was put back, and is what the turn gave again; else None.
    """

    round: int
    sequence: int
    bundle: str
    digest: str
    previous: str | None
    answers: str | None
    officers: tuple[str, ...] | None = None
    back: bool | None = None

    @classmethod
    def of(cls, manifest: "Manifest | Closing", digest: str) -> Self:
        """As the bundle says itself."""
        return cls(
            round=manifest.round,
            sequence=manifest.sequence,
            bundle=manifest.name(),
            digest=digest,
            previous=manifest.previous,
            answers=manifest.answers,
        )

    @property
    def closing(self) -> bool:
        """Whether it is the closing, behind the turns of its round."""
        return self.sequence == order.closing(self.round)

    @property
    def what(self) -> str:
        """What it is, for people: `bundle of round 2`, `closing after round 2`."""
        return f"{'closing after' if self.closing else 'bundle of'} round {self.round}"


class Sealed(Turn):
    """A turn was trained and signed, or the closing was signed: round, bundle, digest.

    Where it had been handed over before the site was restored, and came out the same again, also back.
    """

    __slots__ = ()


class Accepted(Turn):
    """A bundle from the peer was verified whole and taken in: round, bundle, digest.

    Where the plan has officers of the peer's, also officers, fingerprints of the keys that had approved it.
    """

    __slots__ = ()


class Exported(NamedTuple):
    """A bundle was copied to a disk and read back from there: round, bundle, digest.

    Of a part of it also request, digest of what the peer asked for, and files, how many; parity is the share of files, in
    percent, that can be rebuilt; disks how many it lies on, where it is more than one; officers, fingerprints of the keys
    that had approved it, where the plan has officers.
    """

    round: int
    bundle: str
    digest: str
    request: str | None = None
    files: int | None = None
    names: tuple[str, ...] | None = None
    parity: int | None = None
    disks: int | None = None
    officers: tuple[str, ...] | None = None


class Received(NamedTuple):
    """The peer's receipt of a bundle was read: round, bundle, digest.

    Attributes:
        key: fingerprint of the key that signed it.
        receipt: digest of the receipt's file.
        accepted: when the peer accepted the bundle, by its clock; None where it does not know.
        by: who took it, where the receipt says so.
    """

    round: int
    bundle: str
    digest: str
    key: str
    receipt: str
    accepted: str | None
    by: str | None


class Blended(NamedTuple):
    """How the chosen blend was made; see `alx.bundle.manifest.Blend`."""

    own_step: int
    peer_bundle: str
    peer_step: int
    own: float
    peer: float
    momentum: float


class Metrics(NamedTuple):
    """What the chosen model is worth on samples kept apart; it stays in this site's ledger.

    Attributes:
        values: by name; None where one means nothing.
        majority: the same of the best answer that needs no model.
        groups: by column and its value.
        confusion: by true class, how many were answered with each class, in the same order.
    """

    values: Mapping[str, float | None]
    majority: Mapping[str, float | None]
    groups: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    confusion: Mapping[str, Sequence[int]]


class Flags(NamedTuple):
    """What about a selection deserves a look; see `alx.turns.looks`. None: nothing to compare with, or unknown."""

    start_sent: bool | None = None
    start_loss_true: bool | None = None
    loss_rose: bool | None = None
    stalled: bool | None = None
    claim_low: bool | None = None
    own_before: float | None = None
    own_rose: bool | None = None
    held_out_before: float | None = None
    score_fell: bool | None = None
    by_claim: bool | None = None
    restored_at: str | None = None
    restored_to: int | None = None
    spent_fell: bool | None = None


class Selected(NamedTuple):
    """A candidate out of it was chosen: round, label, global loss, and the flags that deserve a look.

    Attributes:
        index, label: the chosen candidate.
        labels, signed: all candidates, and the sender's loss sum at each; empty in the event log, which has no lists.
        own: one's own loss sums; None at one where it was not measured whole. After a reset what is not known is None.
        at_least: what it is at least, there.
        evaluations, scan: losses of one sample that were asked for, and that a full scan asks for.
        scored: the task has a held-out score; `held_out` is it, None where it is not finite.
        samples: on both sides.
        claimed_start: the global loss that the sender says it began at.
        blend: how the chosen one was made, where it is a blend; `blend_true`: it was made anew here, to the bit.
        own_least: the candidate with the least own loss.
        metrics: beside `held_out`, which is the first of them; None where there are none.
    """

    round: int
    digest: str
    index: int  # type: ignore[assignment] # a tuple has a method of that name
    label: str
    labels: tuple[str, ...]
    signed: tuple[float, ...]
    own: tuple[float | None, ...] | None
    at_least: tuple[float | None, ...] | None
    evaluations: int | None
    scan: int | None
    scored: bool
    held_out: float | None
    samples: Count
    global_loss: float
    claimed_start: float | None
    blend: Blended | None
    blend_true: bool | None
    own_least: int | None
    flags: Flags
    metrics: Metrics | None = None

    @classmethod
    def of(cls, manifest: "Manifest", digest: str, index: int, *, samples: int, global_loss: float) -> Self:
        """What the bundle itself says of the chosen candidate, and what its global loss is; the rest unknown."""
        chosen = manifest.candidates[index]
        return cls(
            round=manifest.round,
            digest=digest,
            index=index,
            label=chosen.label,
            labels=tuple(c.label for c in manifest.candidates),
            signed=tuple(c.loss for c in manifest.candidates),
            own=None,
            at_least=None,
            evaluations=None,
            scan=None,
            scored=False,
            held_out=None,
            samples=samples,
            global_loss=global_loss,
            claimed_start=None if manifest.start is None else manifest.start.global_loss,
            blend=None if chosen.blend is None else Blended(**chosen.blend.model_dump()),
            blend_true=None,
            own_least=None,
            flags=Flags(),
        )

    @property
    def mean(self) -> float:
        """The global loss a sample."""
        return self.global_loss / self.samples

    def known(self, index: int) -> tuple[float | None, bool]:
        """One's own loss sum at a candidate, None where it is not finite or unknown; False where it is a lower bound."""
        own, least = (None if losses is None else losses[index] for losses in (self.own, self.at_least))
        return (own, True) if own is not None else (least, False)

    @property
    def own_loss(self) -> float | None:
        """One's own loss sum at the chosen candidate."""
        return None if self.own is None else self.own[self.index]


class Closed(NamedTuple):
    """The exchange was closed, and both sides end with one model: its round, label and digest (state), its global loss.

    Attributes:
        digest: of the provider's last bundle, out of which the learner chose it.
        candidate, label: the chosen one there.
        state: SHA-256 of its raw state.
        samples: on both sides.
        scored, held_out, metrics: as of a selection, by this site's own data.
        loss_rose: the learner says that it is above the global loss that this site found last; None where it says so itself.
    """

    round: int
    digest: str
    candidate: int
    label: str
    state: str
    global_loss: float
    samples: Count
    scored: bool
    held_out: float | None
    loss_rose: bool | None
    metrics: Metrics | None = None

    @classmethod
    def of(cls, closing: "Closing", label: str) -> Self:
        """As the closing says; a score is not known yet."""
        start = closing.start
        return cls(
            round=closing.round,
            digest=closing.answers,
            candidate=start.candidate,
            label=label,
            state=closing.state,
            global_loss=start.global_loss,
            samples=start.samples,
            scored=False,
            held_out=None,
            loss_rose=None,
        )

    @property
    def mean(self) -> float:
        """The global loss a sample."""
        return self.global_loss / self.samples


class Spent(NamedTuple):
    """A turn's share of the privacy budget was set aside, before its first step: round, noise, epsilon of all so far.

    Attributes:
        turn: digest of all that tells it from any other turn, under the site's own key; the same again takes nothing more.
            None where a reset found it in a bundle.
        noise: multiplier of the noise in each step.
        rate: the chance of each sample to be in a step.
        steps: of the turn.
        loss_noise: multiplier of the noise in loss sums and choices.
        epsilon, delta: what all turns so far tell of one sample at most; None where a reset found it.
    """

    round: int
    turn: str | None
    noise: float
    rate: float
    steps: int
    loss_noise: float
    epsilon: float | None
    delta: float


class Restored(NamedTuple):
    """The site was restored from a backup: number of entries that its ledger had, digest of the last."""

    entries: int
    ledger: str


class Reset(NamedTuple):
    """A lost ledger was rebuilt from signed bundles, or a lost log begun anew: reason, why (what was wrong), bundles.

    Attributes:
        bundles: how many were found; None where only the log was lost.
        import_again: the bundle whose selection was lost with the ledger.
        rebuilt: number of entries with this one.
    """

    reason: str
    why: str
    bundles: int | None
    import_again: str | None
    rebuilt: int


class Passphrase(NamedTuple):
    """The private key's passphrase was set or changed, or removed: which."""

    what: str


class BackedUp(NamedTuple):
    """The whole site, private key included, was copied into a folder: its name, number of files."""

    folder: str
    files: int


class Described(NamedTuple):
    """What may be told of this site's data was written into a file: its name, its digest, the least count it tells."""

    file: str
    digest: str
    least: int


class Reported(NamedTuple):
    """A report on this site, or on a bundle, was signed with this site's key: the file's name, its digest."""

    file: str
    digest: str


class Media(NamedTuple):
    """A drive was named for an export or an import, whose outcome is told after it: use, what it was about, which drive.

    Attributes:
        use: what it was for.
        about: name of the bundle.
        drive, serial, file_system: what the system tells of the drive; None where it does not.
        machine: the name of the machine it was plugged into.
        by: who did it, where somebody was named.
    """

    use: str
    about: str
    drive: str | None
    serial: str | None
    file_system: str | None
    machine: str
    by: str | None


class Given(NamedTuple):
    """This site's receipt of a bundle of the peer's was written, beside an own bundle or into a file: round, bundle, digest.

    Attributes:
        file: its name.
        accepted: when the bundle was accepted here, as it says; None where nobody knows.
        by: who took the disk, where it names somebody.
    """

    round: int
    bundle: str
    digest: str
    file: str
    accepted: str | None
    by: str | None


class Leakage(NamedTuple):
    """Attacks that its receiver could run were run on an own bundle: round, digest, pairs of samples, what was found.

    Attributes:
        pairs: own samples that were set beside as many kept apart.
        attack: the strongest.
        auc, low, high: its area under the ROC curve, 0.5 for a guess, and between what it lies.
        found: share of own samples that it finds at a threshold set at one false alarm in a hundred.
        alarms: share of samples kept apart that passed the threshold.
        rare: area under the ROC curve, by loss, among classes of which the site holds few; None where none was measured.
        epsilon: the least that it can be, by canaries; None where there are none.
        classes: whose samples were looked for; None where there was nothing to tell.
        right: share of them for which it was told whether the site holds many.
    """

    round: int
    digest: str
    pairs: int
    attack: str
    auc: float
    low: float
    high: float
    found: float
    alarms: float
    rare: float | None
    epsilon: float | None
    classes: int | None
    right: float | None


class Refused(NamedTuple):
    """A command ended with a refusal and changed nothing: command, what it was about, error, exit code, message.

    Where nothing is wrong, and another disk or an approval is still to come, also to_come.
    """

    command: str
    about: str
    error: str
    exit_code: int
    message: str
    to_come: bool | None = None

    @property
    def own(self) -> bool:
        """Whether it is of the site's own doing: a slip of the pen, its own data, paths or settings, a full disk."""
        return self.error in _OWN


Record = Created | Paired | Renewal | Turn | Exported | Received | Selected | Closed | Spent | Restored | Reset
Event = Record | Passphrase | BackedUp | Described | Leakage | Reported | Media | Given | Refused
LEDGER: Mapping[str, Callable[..., Record]] = {
    "created": Created,
    "paired": Paired,
    "rotated": Rotated,
    "peer-rotated": PeerRotated,
    "sealed": Sealed,
    "exported": Exported,
    "received": Received,
    "accepted": Accepted,
    "selected": Selected,
    "closed": Closed,
    "spent": Spent,
    "restored": Restored,
    "reset": Reset,
}
"""The kinds of entries of the ledger."""
EVENTS: Mapping[str, Callable[..., Event]] = {
    **LEDGER,
    "passphrase": Passphrase,
    "backed-up": BackedUp,
    "described": Described,
    "leakage": Leakage,
    "reported": Reported,
    "media": Media,
    "receipt": Given,
    "refused": Refused,
}
"""The kinds of events of the event log; what is said of each stands in docs/events.md."""
_KINDS = {made: kind for kind, made in EVENTS.items()}


def kind(record: Event) -> str:
    """The word that a record's kind has in its chain."""
    return _KINDS[type(record)]


def plain(record: Event) -> dict[str, object]:
    """A record's fields as JSON has them."""
    out: dict[str, object] = {}
    for name, value in record._asdict().items():
        if isinstance(value, Flags):
            out |= value._asdict()
        elif value is not None or name not in _LEFT_OUT:
            out[name] = value._asdict() if isinstance(value, Blended | Metrics) else value
    return out


def text(record: Event) -> str:
    """A record's body."""
    return json.dumps(plain(record), allow_nan=False)


def of(kind: str, values: Mapping[str, Any]) -> Event:
    """A record out of its body's values.

    Raises:
        TypeError, ValueError: a value is missing, or is none of that kind's.
    """
    given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    if kind == "selected":
        given = dict.fromkeys(("own", "at_least"), None) | {"labels": (), "signed": ()} | given  # of an event
        flags = {name: given.pop(name) for name in Flags._fields if name in given}
        blend = given.get("blend")
        given |= {"flags": Flags(**flags), "blend": None if blend is None else Blended(**blend)}
    if given.get("metrics") is not None:
        given["metrics"] = Metrics(**given["metrics"])
    made = checked(EVENTS[kind], given)
    if isinstance(made, Selected):
        lists = {len(each) for each in (made.labels, made.signed, made.own, made.at_least) if each is not None}
        named = {made.index, made.own_least or 0}
        if len(lists) > 1 or (made.labels and not named <= set(range(len(made.labels)))):
            raise ValueError("a selection is of as many losses as candidates, and of one of them")
    return made


def checked(made: Callable[..., _Made], given: Mapping[str, Any]) -> _Made:
    """A record of these fields, each of the kind that its class says: a chain can be written by hand.

    Raises:
        ValueError: says which is not.
    """
    _fields(made).validate_python(given)
    return made(**given)


@functools.cache
def _fields(made: Callable[..., Any]) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", made), config=ConfigDict(strict=True, allow_inf_nan=False))
