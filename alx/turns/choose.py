"""Import and select: take a verified bundle in, add one's own loss at every candidate, choose; and the best of all."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save

from alx import files
from alx.bundle import read
from alx.bundle.manifest import Layout, Manifest
from alx.errors import UsageError
from alx.learning import measure, select
from alx.site import disk, ledger
from alx.site.site import Site
from alx.tasks import load
from alx.turns.bridge import Tell, from_flat, same_count, silent

LOSS_SLACK = 1e-6  # relative: what the same loss may differ by on two machines without having risen


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `import_and_select` found; all of it stands in the ledger too."""

    bundle: Path
    signer: str
    again: bool
    body: dict[str, Any]
    """Round, index, label, labels, signed, own, samples, global_loss, held_out, and the flags."""


def import_and_select(site: Site, path: Path, tell: Tell = silent) -> Chosen:
    """Verify and take in the peer's bundle, measure one's own loss at every candidate, choose, record.

    Args:
        site: this site, locked by the caller.
        path: the bundle's folder on the disk.
        tell: progress.

    Raises:
        AlxError: see `disk.accept`; then nothing was changed.
        NotFiniteError: the own loss is finite nowhere.
    """
    accepted = _unfinished(site, path) or disk.accept(site, path, lambda what, i, n: tell(what, i, n, None))
    position = site.position()
    if position.step != "select":
        return Chosen(accepted.path, accepted.signer.fingerprint, accepted.again, position.selected[-1])
    body = _select(site, accepted, tell)
    ledger.append(site.ledger_path, "selected", body)
    return Chosen(accepted.path, accepted.signer.fingerprint, accepted.again, body)


def _unfinished(site: Site, path: Path) -> disk.Accepted | None:
    """The bundle of that name that was taken in, but not yet measured when the command was stopped: no disk is needed."""
    with files.storage(path):
        if site.position().step != "select" or path.exists():
            return None
    folder, body = disk.last_accepted(site)
    return disk.Accepted(folder, body["digest"], site.peer.key, again=True) if folder.name == path.name else None


def _select(site: Site, accepted: disk.Accepted, tell: Tell) -> dict[str, Any]:
    task = load.task(site.folder, site.config, site.plan)
    model = task.new_model()
    own, scores = [], []
    with disk.opened(accepted.path, site.peer.key, accepted.digest) as (source, signed, manifest):
        for i, _, flat in read.states(source, signed, manifest):
            measured = measure.measure(task, model, from_flat(flat, manifest.layout))
            same_count(measured.count, site.own_identity().file.samples)
            own.append(measured.total)
            scores.append(measure.held_out(task, model))
            tell("measuring", i + 1, len(manifest.candidates), None)
    samples = manifest.samples + site.own_identity().file.samples
    chosen = select.select([c.loss for c in manifest.candidates], own, samples)
    body: dict[str, Any] = {
        "round": manifest.round,
        "digest": accepted.digest,
        "index": chosen.index,
        "label": manifest.candidates[chosen.index].label,
        "labels": [c.label for c in manifest.candidates],
        "signed": list(chosen.signed),
        "own": [x if x - x == 0 else None for x in chosen.own],
        "held_out": scores if task.held_out is not None else None,
        "samples": samples,
        "global_loss": chosen.global_loss,
        "blend": (b.model_dump() if (b := manifest.candidates[chosen.index].blend) else None),
    }
    return body | _flags(site, manifest, chosen)


def _flags(site: Site, manifest: Manifest, chosen: select.Selection) -> dict[str, Any]:
    """What the paper's algorithm promises, checked at run time: None where there is nothing to compare with.

    start_sent: the reply's t = 0 is, bit for bit, the candidate it says it started from, out of those sent.
    loss_rose: the global loss the sender claims to have started from, or the one found here, is above the last one.
    stalled: the sender started at t = 0, and the best candidate is t = 0 again.
    """
    position = site.position()
    before = position.selected[-1]["global_loss"] if position.selected else None
    start_sent = stalled = None
    claimed = chosen.global_loss
    if manifest.start is not None:
        sent = position.sealed[-1]
        with disk.opened(site.outbox / sent["bundle"], site.public_key, sent["digest"]) as (_, _, mine):
            offered = mine.candidates
        i = manifest.start.candidate
        start_sent = i < len(offered) and offered[i].state == manifest.candidates[0].state
        stalled = i == 0 and chosen.index == 0
        claimed = max(claimed, manifest.start.global_loss)
    rose = None if before is None else claimed - before > LOSS_SLACK * abs(before)
    return {"start_sent": start_sent, "loss_rose": rose, "stalled": stalled}


@dataclass(frozen=True, slots=True)
class Best:
    """The best model so far."""

    round: int
    label: str
    global_loss: float
    samples: int
    state: bytes
    layout: Layout
    held_out: float | None


def best(site: Site) -> Best:
    """The selected model with the least global loss of all rounds (paper: "output: the best model").

    Raises:
        UsageError: nothing was selected yet.
    """
    position = site.position()
    if not position.selected:
        raise UsageError("nothing was selected yet, so there is no best model", f"next: {position.next_command}")
    chosen = min(position.selected, key=lambda b: float(b["global_loss"]))
    body = next(b for b in position.accepted if b["digest"] == chosen["digest"])
    with disk.opened(site.inbox / body["bundle"], site.peer.key, body["digest"]) as (source, signed, manifest):
        flat = next(s for _, _, s in read.states(source, signed, manifest, chosen["index"], chosen["index"]))
        score = chosen["held_out"][chosen["index"]] if chosen["held_out"] else None
        return Best(chosen["round"], chosen["label"], chosen["global_loss"], chosen["samples"], flat, manifest.layout, score)


def best_file(found: Best) -> bytes:
    """The best model as a safetensors file; its one metadata key `alx` is JSON with round, snapshot and global loss."""
    about = {
        "round": found.round,
        "snapshot": found.label,
        "global_loss": found.global_loss,
        "samples": found.samples,
    }
    return save(from_flat(found.state, found.layout), {"alx": json.dumps(about)})
