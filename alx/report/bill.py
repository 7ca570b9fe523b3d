"""The bill of materials of a model, for programs: which file it is, what it came out of, what of it is known and what not.

Knows what a site remembers; opens no bundle. It is made to be handed on, as the card is: no score on data kept apart, no
loss of one side alone, and nothing that only this site knows of its data. Where nothing is known, nothing is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alx import __version__
from alx.bundle import strict_json
from alx.bundle.layout import Layout
from alx.order import round_of
from alx.report import model_card
from alx.report.cyclonedx import (
    Bom,
    Component,
    Contents,
    CryptoProperties,
    Data,
    Dependency,
    Hash,
    License,
    LicenseName,
    Metadata,
    Pedigree,
    Property,
    PublicKey,
    Tools,
    text,
)
from alx.site.entries import Closed, Sealed, Selected, Turn
from alx.site.events import Event
from alx.site.state import SiteState

if TYPE_CHECKING:
    from alx.records import Role

MAX_BILL_BYTES = 4 << 20  # two thousand bundles, the most that a plan has, of 900 bytes each, and a page


@dataclass(frozen=True, slots=True)
class Written:
    """The files that a bill is about.

    Attributes:
        name, digest, nbytes: of the model's file; the digest is its SHA-256.
        plan: name of the plan's file beside it.
        code: name and SHA-256 of the model's own .py file, if the plan names one.
        layout: all tensors in the model's file.
        weights: SHA-256 of the raw state: of what travelled.
        frozen: the digest of what nothing changes; None where there is nothing.
        personal: number of tensors that only this site has.
        built_in: the plan alone says how inputs are made.
    """

    name: str
    digest: str
    nbytes: int
    plan: str
    code: tuple[str, str] | None
    layout: Layout
    weights: str
    frozen: str | None
    personal: int
    built_in: bool


def bill(
    chosen: Selected | Closed,
    now: SiteState,
    log: Sequence[Event],
    made: Written,
    *,
    license_: str | None,
    programs: Mapping[str, str],
) -> bytes:
    """The bill.

    Args:
        chosen: the selection that the model came out of, or the closing.
        now: the site that writes it, its agreement checked.
        log: its security log, which has the times.
        made: the files.
        license_: as a person named it; None where nobody did.
        programs: versions of what writes it, by name, beside alx's own.

    Raises:
        TurnError, LedgerError: see `SiteState.peer`.
    """
    plan = now.site.plan
    times = {e.entry: e.at for e in log if e.entry is not None and not e.by_reset}
    at = next((times.get(e.line.digest) for e in reversed(now.entries) if e.record is chosen), None)
    parts = [*_files(now, made), *_data(now), *_keys(now)]
    model = Component(
        type="machine-learning-model",
        bom_ref="model",
        name=plan.name,
        version=f"round {chosen.round}, {chosen.label}",
        hashes=[Hash(content=made.digest)],
        licenses=None if license_ is None else [License(license=LicenseName(name=license_))],
        pedigree=Pedigree(ancestors=list(_ancestors(chosen, now, times)), notes=_PEDIGREE),
        model_card=model_card.of(chosen, plan, personal=made.personal, built_in=made.built_in),
        properties=_properties(_facts(chosen, now, made)),
    )
    tools = [Component(type="application", name="alx", version=__version__)]
    tools += [Component(type="framework", name=name, version=version) for name, version in programs.items()]
    refs = [part.bom_ref for part in parts if part.bom_ref is not None and part.type != "cryptographic-asset"]
    return text(
        Bom(
            metadata=Metadata(timestamp=at, tools=Tools(components=tools), component=model),
            components=parts,
            dependencies=[Dependency(ref="model", depends_on=refs)],
        )
    )


def is_bill(data: bytes, plan_digest: str) -> bool:
    """Whether a file is a bill under this plan.

    Raises:
        LimitError, MalformedError: it is no JSON, or far too large.
    """
    value: object = strict_json.parse(data, "the bill of materials", MAX_BILL_BYTES)
    for name in ("metadata", "component", "properties"):
        value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, list) and {"name": "alx:plan", "value": plan_digest} in value


_PEDIGREE = (
    "The bundles of the exchange up to the one that this model was chosen out of, in their order. The site that wrote this "
    "signed its own and verified the other's when it accepted them; times are by its clock."
)


def _properties(facts: Mapping[str, object]) -> list[Property]:
    return [Property(name=f"alx:{name}", value=str(value)) for name, value in facts.items() if value is not None]


def _facts(chosen: Selected | Closed, now: SiteState, made: Written) -> dict[str, object]:
    position = now.position
    closing = next((turn.digest for turn in (*position.sealed, *position.accepted) if turn.closing), None)
    return {
        "file": made.name,
        "bytes": made.nbytes,
        "tensors": len(made.layout.tensors),
        "plan": now.site.plan_file.digest,
        "weights": made.weights,
        "frozen": made.frozen,
        "personal": made.personal or None,
        "chosen-out-of": chosen.digest,
        "round": chosen.round,
        "rounds": now.site.plan.rounds,
        "closing": closing,
        "written-by": now.site.role,
    }


def _files(now: SiteState, made: Written) -> Iterator[Component]:
    digest = Hash(content=now.site.plan_file.digest)
    yield Component(type="file", mime_type="application/toml", bom_ref="plan", name=made.plan, hashes=[digest])
    if made.code is not None:
        name, code = made.code
        yield Component(type="file", mime_type="text/x-python", bom_ref="code", name=name, hashes=[Hash(content=code)])


def _data(now: SiteState) -> Iterator[Component]:
    """Each side's: the number of samples as it signed it, where neither is too small a number to be told."""
    plan = now.site.plan
    counts: dict[Role, int] = {side.file.role: side.file.samples for side in (now.own, now.peer)}
    told = min(counts.values()) >= now.site.least
    table = plan.columns
    classes = f"{len(plan.class_names)}: {model_card.names(plan.class_names)}" if plan.class_names else None
    for role, samples in sorted(counts.items()):
        facts = {
            "samples": samples if told else None,
            "samples:of": f"those that loss sums are over, for {plan.select_on}" if told else None,
            "classes": classes,
            "columns": None if table is None else len(table.numeric) + len(table.date) + len(table.categorical),
        }
        yield Component(
            type="data",
            bom_ref=f"data:{role}",
            name=f"data of the {role}",
            data=[Data(name=f"data of the {role}, which stay there", contents=Contents(properties=_properties(facts)))],
        )


def _keys(now: SiteState) -> Iterator[Component]:
    """All keys that bundles were signed with, the replaced ones too."""
    ring = now.keyring
    sides: list[tuple[Role, Sequence[str]]] = [
        (now.site.role, [key.fingerprint for key in ring.own]),
        (now.peer.file.role, [key.fingerprint for key in ring.peer]),
    ]
    for role, fingerprints in sorted(sides):
        for fingerprint in fingerprints:
            current = fingerprint == fingerprints[-1]
            yield Component(
                type="cryptographic-asset",
                bom_ref=f"key:{fingerprint}",
                name=f"public key of the {role}",
                hashes=[Hash(content=fingerprint)],
                crypto_properties=CryptoProperties(
                    related_crypto_material_properties=PublicKey(
                        id=fingerprint, state="active" if current else "deactivated"
                    )
                ),
            )


def _ancestors(chosen: Selected | Closed, now: SiteState, times: Mapping[str, str]) -> Iterator[Component]:
    lines = {e.record.digest: e.line.digest for e in now.entries if isinstance(e.record, Turn)}
    turns = sorted((*now.position.sealed, *now.position.accepted), key=lambda turn: turn.sequence)
    last = next(turn.sequence for turn in turns if turn.digest == chosen.digest)
    for turn in turns:
        if turn.sequence > last:
            return
        facts = {
            "digest": turn.digest,
            "round": round_of(turn.sequence),
            "sender": now.site.role if isinstance(turn, Sealed) else now.peer.file.role,
            "signed-with": now.keyring.signers[turn.digest].fingerprint,
            "sealed" if isinstance(turn, Sealed) else "accepted": times.get(lines[turn.digest]),
        }
        yield Component(type="data", bom_ref=f"bundle:{turn.digest}", name=turn.bundle, properties=_properties(facts))
