"""Import and select: take a verified bundle in, add one's own loss at every candidate, choose; and the best of all."""

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save

from alx.bundle import read
from alx.bundle.manifest import Layout, Manifest
from alx.errors import UsageError
from alx.learning import measure, select
from alx.site import disk, incoming
from alx.site.incoming import Staged
from alx.site.site import Site
from alx.tasks import load
from alx.turns.bridge import Tell, from_flat, same_count, same_model, silent

# Relative: what the same loss may differ by when a GPU sums in another order (float32 has 6e-8 a term).
LOSS_SLACK = 1e-5


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `import_and_select` found; all of it stands in the ledger too."""

    bundle: Path
    signer: str
    again: bool
    body: dict[str, Any]
    """Round, index, label, labels, signed, own, samples, global_loss, held_out, and the flags."""
    rebuilt: int = 0
    """Number of files that came out of parity."""


def import_and_select(
    site: Site, path: Path, tell: Tell = silent, *, also: Sequence[Path] = (), ask: Path | None = None
) -> Chosen:
    """Verify the peer's bundle, measure one's own loss at every candidate, choose, and only then accept and record.

    Args:
        site: this site, locked by the caller.
        path: the bundle's folder on the disk.
        tell: progress.
        also: folders of other copies of it, or of its parity, for files that are bad in the first.
        ask: where to write a signed request for the files that are bad, if some are.

    Raises:
        AlxError: see `incoming.verified`; then nothing was changed.
        NotFiniteError: the own loss is finite nowhere; nothing was changed.
    """
    with incoming.verified(site, (path, *also), lambda what, i, n: tell(what, i, n, None), ask) as found:
        if isinstance(found, Path):
            body = site.position().selected[-1]
            return Chosen(found, site.signer(body["digest"]).fingerprint, again=True, body=body)
        body = _select(site, found, tell)
        taken, signer = incoming.accept(site, found, body), found.signed.signer.fingerprint
        return Chosen(taken, signer, again=False, body=body, rebuilt=found.rebuilt)


def _select(site: Site, staged: Staged, tell: Tell) -> dict[str, Any]:
    task = load.task(site.folder, site.config, site.plan)
    same_model(task, site.own_identity().layout)
    model = task.new_model()
    manifest, samples = staged.manifest, site.own_identity().file.samples
    own, scores = [], []
    for i, _, flat in read.states(staged.source, staged.signed, manifest):
        measured = measure.measure(task, model, from_flat(flat, manifest.layout))
        same_count(measured.count, samples)
        own.append(measured.total)
        scores.append(measure.held_out(task, model))
        tell("measuring", i + 1, len(manifest.candidates), None)
    chosen = select.select([c.loss for c in manifest.candidates], own, manifest.samples + samples)
    best = manifest.candidates[chosen.index]
    body: dict[str, Any] = {
        "round": manifest.round,
        "digest": staged.signed.digest,
        "index": chosen.index,
        "label": best.label,
        "labels": [c.label for c in manifest.candidates],
        "signed": list(chosen.signed),
        "own": [_finite(x) for x in chosen.own],
        "held_out": [_finite(x) for x in scores] if task.held_out is not None else None,
        "samples": chosen.samples,
        "global_loss": chosen.global_loss,
        "claimed_start": manifest.start.global_loss if manifest.start is not None else None,
        "blend": best.blend.model_dump() if best.blend is not None else None,
    }
    return body | _flags(site, manifest, chosen)


def _finite(value: float | None) -> float | None:
    """What JSON and the ledger have no word for becomes None."""
    return value if value is not None and math.isfinite(value) else None


def _flags(site: Site, manifest: Manifest, chosen: select.Selection) -> dict[str, bool | None]:
    """What the paper's algorithm promises, checked at run time: None where there is nothing to compare with.

    start_sent: the reply's t = 0 is, bit for bit, the candidate it says it started from, out of those sent.
    start_loss_true: the global loss it says it started from is the one found here for t = 0.
    loss_rose: from this site's last selection to the sender's start, or from there to what was chosen now.
    stalled: the sender started at t = 0, and the best candidate is t = 0 again.
    """
    position = site.position()
    way = [float(position.selected[-1]["global_loss"])] if position.selected else []
    start_sent = start_loss_true = stalled = None
    if manifest.start is not None:
        sent = position.sealed[-1]
        with disk.opened(site, site.outbox / sent["bundle"], sent["digest"]) as (_, _, mine):
            offered = mine.candidates
        i = manifest.start.candidate
        claimed = manifest.start.global_loss
        start_sent = i < len(offered) and offered[i].state == manifest.candidates[0].state
        start_loss_true = math.isclose(chosen.totals[0], claimed, rel_tol=LOSS_SLACK)
        stalled = i == 0 and chosen.index == 0
        way.append(claimed)
    way.append(chosen.global_loss)
    rose = any(b - a > LOSS_SLACK * abs(a) for a, b in itertools.pairwise(way)) if len(way) > 1 else None
    return {"start_sent": start_sent, "start_loss_true": start_loss_true, "loss_rose": rose, "stalled": stalled}


@dataclass(frozen=True, slots=True)
class Best:
    """A selected model: the best so far, or the latest."""

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
    return _selected(site, min(_selections(site), key=lambda b: float(b["global_loss"])))


def latest(site: Site) -> Best:
    """The model that was selected last: for the learner, the round's result (paper: theta^r).

    Raises:
        UsageError: nothing was selected yet.
    """
    return _selected(site, _selections(site)[-1])


def _selections(site: Site) -> tuple[dict[str, Any], ...]:
    position = site.position()
    if not position.selected:
        raise UsageError("nothing was selected yet, so there is no best model", f"next: {position.next_command}")
    return position.selected


def _selected(site: Site, chosen: dict[str, Any]) -> Best:
    body = next(b for b in site.position().accepted if b["digest"] == chosen["digest"])
    with disk.opened(site, site.inbox / body["bundle"], body["digest"]) as (source, signed, manifest):
        flat = read.state(source, signed, manifest, chosen["index"])
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
