"""Verify a bundle or a whole site and say what is in it, for people without torch and without a private key.

Knows bundles, keys and ledgers; knows no tensor's meaning. Nothing is written anywhere.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from alx.bundle import age, carried, read, share
from alx.bundle.carried import Source
from alx.bundle.closing import Closing
from alx.bundle.keys import PublicKey
from alx.bundle.layout import place
from alx.bundle.manifest import Candidate, Manifest
from alx.bundle.signature import SignedBundle, SignedFile
from alx.errors import AlxError, CorruptError, IncompleteError, LedgerError, ModelError, PeerError, TrustError, escape
from alx.verified import BundleReport, Ciphertext, ShareReport, SiteReport

if TYPE_CHECKING:  # a bundle is looked at without a site
    from alx.site.entries import Turn
    from alx.site.keyring import Keyring
    from alx.site.ledger import Entry
    from alx.site.site import Site
    from alx.site.state import SiteState

_Said = TypeVar("_Said", bound=Manifest | Closing)


def bundle(path: Path, keys: Sequence[PublicKey], secret: str | None = None) -> BundleReport:
    """Verify a bundle where it lies; each file is read once.

    Args:
        path: its folder, on a disk or in a site.
        keys: keys that the auditor trusts; one of them must have signed.
        secret: the age key of one of its two sites, for a bundle that is encrypted.

    Raises:
        PeerError: it is encrypted, and there is no `secret`.
        IncompleteError: it is what lies on one of several disks.
        AlxError: see `look`.
    """
    report = whole(path, keys, secret)
    if isinstance(report, Ciphertext):
        raise PeerError(
            f"'{escape(path.name)}' is encrypted, and the site's age key is not at hand",
            "run it inside one of its two sites, and name no key",
        )
    return report


def whole(path: Path, keys: Sequence[PublicKey], secret: str | None = None) -> BundleReport | Ciphertext:
    """As `look`, of all of a bundle.

    Raises:
        IncompleteError: it is what lies on one of several disks.
        AlxError: see `look`.
    """
    report = look(path, keys, secret)
    if isinstance(report, ShareReport):
        raise IncompleteError(
            f"'{escape(path.name)}' is only what of a bundle lies on one of {len(report.part.counts)} disks",
            "alx audit says what is here; all of it is in the sender's outbox, and once imported in the receiver's inbox",
        )
    return report


def known_at(now: "SiteState", digest: str) -> tuple[str | None, str | None]:
    """When this site sealed a bundle, and when it last attacked it, by its event log; None where it did not.

    Raises:
        LedgerError: see `events.read`.
    """
    from alx.site import events  # noqa: PLC0415 - a bundle is looked at without a site
    from alx.site.entries import Leakage, Sealed  # noqa: PLC0415 - as above

    log = [e for e in events.read(now.site.events_path) if not e.by_reset]
    sealed = next((e.at for e in log if isinstance(e.record, Sealed) and e.record.digest == digest), None)
    attacked = next((e.at for e in reversed(log) if isinstance(e.record, Leakage) and e.record.digest == digest), None)
    return sealed, attacked


def look(path: Path, keys: Sequence[PublicKey], secret: str | None = None) -> BundleReport | Ciphertext | ShareReport:
    """As `bundle`; of one that is encrypted, without `secret`, what can be verified from outside; of a share, what is here.

    Raises:
        PeerError: it is encrypted, and `secret` does not open it.
        AlxError: the first of the faults that import would refuse it for, the turn and the peer excepted.
    """
    with carried.survey(path, secret) as source:
        key, signed = signature(source, keys)
        part = share.take(source, signed)
        read.compare(source, signed.files if part is None else part.of(signed).files)
        source.refuse_damage()
        listed = tuple(signed.files.values())
        outside = read.is_encrypted(signed) and secret is None
        if part is not None or outside:
            place(signed.name)  # where no manifest is read the signed name alone says which turn it is
            _hashed(source, listed if part is None else part.of(signed).files.values())
        if part is not None:
            return ShareReport(path, key, signed, part, None if outside else _said(source, signed, read.read_manifest))
        if outside:
            return Ciphertext(path, signed.name, signed.digest, key, listed, dict(source.sizes))
        manifest = _said(source, signed, read.read_closing if read.is_closing(signed) else read.read_manifest)
        for _ in read.states(source, signed, manifest) if isinstance(manifest, Manifest) else ():
            pass
        if isinstance(manifest, Manifest):
            read.moments(source, signed, manifest)
        size = sum(source.sizes.values())
        encrypted = read.is_encrypted(signed)
        return BundleReport(path, signed.digest, key, manifest, listed, len(source.sizes), size, encrypted)


def _hashed(source: Source, wanted: Iterable[SignedFile]) -> None:
    """Compare each file with its signed digest, and see that one that is called encrypted is; nothing is decrypted.

    Raises:
        CorruptError: names every bad file.
        MalformedError: see `age.check_header`.
    """
    for file in wanted:
        content = source.read_signed(file)
        if content is not None and file.name.endswith(age.SUFFIX):
            age.check_header(content, file.name)
    source.refuse_damage()


def _said(source: Source, signed: SignedBundle, reading: Callable[[Source, SignedBundle], _Said]) -> _Said:
    """What it says about itself; by the key that signed it.

    Raises:
        TrustError: it names another sender.
        AlxError: see `read.read_manifest` and `read.read_closing`.
    """
    said = reading(source, signed)
    if said.sender.key != signed.signer.fingerprint:
        raise TrustError("the manifest names another sender than the key that signed it")
    return said


def signature(source: Source, keys: Sequence[PublicKey]) -> tuple[PublicKey, SignedBundle]:
    """Verify a bundle's signature alone: whose it is, and what it says.

    Raises:
        IncompleteError: there is none.
        TrustError: by none of the keys, or not valid.
        LimitError, MalformedError: see `read.verify_signature`.
    """
    data, claimed = read.claimed_key(source)
    key = next((k for k in keys if k.fingerprint == claimed), None)
    if key is None:
        known = ", ".join(k.fingerprint[:16] + "…" for k in keys)
        raise TrustError(
            f"signed with the key {claimed[:16]}…, expected one of {known}",
            "name the sender's public key with --key; get it from a person, never from the disk",
        )
    return key, read.verify_signature(data, key)


def site(found: "Site") -> SiteReport:
    """Verify a site's ledger, its security log, and every bundle that the ledger names, in both directions.

    Nobody has to hold the site meanwhile: the log is read before the ledger, which is never behind it.

    Raises:
        LedgerError: the log's chain, or the chain through the bundles, is broken; the ledger is an old one.
        CorruptError: a bundle, or a receipt, is missing or is not the one that the ledger names.
        ModelError: a tensor is in a bundle that the plan calls personal.
        AlxError: whatever else is wrong with a bundle.
    """
    from alx.site import events  # noqa: PLC0415 - see above
    from alx.site.entries import Turn  # noqa: PLC0415
    from alx.steps import receipts  # noqa: PLC0415

    log = events.read(found.events_path)
    now = found.look()
    not_logged = events.missing(log, now.entries)
    now.check_agreement()
    receipts.check(now)
    reports: list[BundleReport | Ciphertext] = []
    for entry in now.entries:
        if isinstance(entry.record, Turn):
            report = kept(now.site, entry, now.keyring, now.site.secret_here)
            reports.append(report if isinstance(report, Ciphertext) else blended(now, entry, report))
    opened = [r for r in reports if isinstance(r, BundleReport)]
    if len(opened) < len(reports):
        return SiteReport(now.entries, log, not_logged, reports)
    check_chain(opened)
    return SiteReport(now.entries, log, not_logged, reports, personal(now, opened))


def kept(site: "Site", entry: "Entry", keyring: "Keyring", secret: str | None) -> BundleReport | Ciphertext:
    """Verify a bundle that lies in a site, but for its blends: see `blended`.

    Args:
        site: the site.
        entry: of its ledger, on the bundle.
        keyring: the keys of both sides.
        secret: the site's age key, where its plan encrypts; without it see `look`.

    Raises:
        CorruptError: it is missing, or is not the one that the ledger names.
        AlxError: whatever else is wrong with it.
    """
    from alx.site import shelf  # noqa: PLC0415 - see above

    turn, where = _turn(entry)
    path = shelf.place(site, turn)
    if not path.is_dir():
        raise CorruptError(f"the {where} is gone from '{path.parent}'", carried.AT_HOME)
    try:
        report = whole(path, [keyring.signers[turn.digest]], secret)
    except AlxError as error:
        error.within(where)
        raise
    if report.digest != turn.digest:
        raise CorruptError(f"'{report.path}' is not the bundle that entry {entry.line.number} of the ledger names")
    return report


def blended(now: "SiteState", entry: "Entry", report: BundleReport) -> BundleReport:
    """Make the blends that are in a bundle as recipes, out of it and of the two before it, and compare their digests.

    Raises:
        AlxError: one of the bundles is gone or damaged, or a blend is another one.
    """
    from alx.site import shelf  # noqa: PLC0415 - see above

    if not report.recipes:
        return report
    turn, where = _turn(entry)
    try:
        with shelf.opened(now, turn) as opened:
            for i in range(opened.manifest.weighed, len(opened.manifest.candidates)):
                opened.state(i)
    except AlxError as error:
        error.within(where)
        raise
    return replace(report, made=True)


def _turn(entry: "Entry") -> tuple["Turn", str]:
    """What an entry says of a bundle, and what it is, for people."""
    from alx.site.entries import Turn  # noqa: PLC0415 - see above

    turn = entry.record
    if not isinstance(turn, Turn):
        raise TypeError(entry.line.kind)
    return turn, f"{entry.line.kind} {turn.what}"


def personal(now: "SiteState", reports: list[BundleReport]) -> int | None:
    """See that no bundle has a tensor of a personal name, and that the parts kept here are whole; how many they are.

    Raises:
        ModelError: a bundle has one.
        CorruptError: a part that is kept here is damaged.
    """
    from alx.site import personal as parts  # noqa: PLC0415 - see above

    patterns = now.site.plan.personal
    if not patterns:
        return None
    kept = 0
    for report in reports:
        m = report.manifest
        if isinstance(m, Closing):
            continue
        found = next((t.name for t in m.tensors if any(fnmatchcase(t.name, each) for each in patterns)), None)
        if found is not None:
            raise ModelError(f"'{report.path.name}' has the tensor '{escape(found)}', which the plan calls personal")
        if m.sender.role == now.site.role:
            for i in range(len(m.snapshots)):
                parts.get(now.site.folder, report.digest, i)
            kept += len(m.snapshots)
    return kept


def check_chain(reports: list[BundleReport]) -> None:
    """Both chains, as they stand in the bundles themselves: each names its sender's last and the one it answers.

    Raises:
        LedgerError: one is missing, twice there, or of another history; or a closing names no model of the one it answers.
    """
    last: dict[str, str] = {}
    ordered = sorted(reports, key=lambda r: r.manifest.sequence)
    for number, report in enumerate(ordered, 1):
        m = report.manifest
        if m.sequence != number or m.previous != last.get(m.sender.role) or m.answers != last.get(m.receiver.role):
            raise LedgerError(
                f"'{report.path.name}' does not follow from the bundles before it",
                "put the one that is missing back, from a backup or from a disk that carried it",
            )
        if isinstance(m, Closing):
            _check_closing(m, ordered[number - 2].candidates)
        last[m.sender.role] = report.digest


def _check_closing(said: Closing, offered: Sequence[Candidate]) -> None:
    """It names a candidate of the bundle before it, and that candidate's own state."""
    index = said.start.candidate
    if index >= len(offered) or offered[index].state != said.state:
        raise LedgerError(
            f"'{said.name()}' names another model than candidate {index} of the bundle that it answers",
            "restore the site from its backup",
        )
