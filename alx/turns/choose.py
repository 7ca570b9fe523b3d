"""Import and select: take a verified bundle in, add one's own loss to its candidates', choose; and the best of all."""

import json
import math
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from alx import files
from alx.bundle import read
from alx.bundle.layout import Layout
from alx.errors import MalformedError, UsageError, escape
from alx.learning import measure, select
from alx.learning.task import SampleLosses, Task
from alx.site import shelf
from alx.site.site import Site
from alx.steps import incoming
from alx.steps.incoming import Staged
from alx.tasks import load
from alx.turns import looks, recipes
from alx.turns.bridge import Tell, from_flat, same_count, same_model, same_objective, silent
from alx.turns.looks import Start

BEST = "alx"  # the metadata key of `best_file`


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `import_and_select` found; all of it stands in the ledger too."""

    bundle: Path
    signer: str
    again: bool
    body: dict[str, Any]
    """Round, index, label, labels, signed, own, at_least, evaluations, scan, samples, global_loss, held_out, the flags."""
    rebuilt: int = 0
    """Number of files that came out of parity."""


def import_and_select(
    site: Site,
    path: Path,
    tell: Tell = silent,
    *,
    also: Sequence[Path] = (),
    ask: Path | None = None,
    full: bool = False,
) -> Chosen:
    """Verify the peer's bundle, measure one's own loss at its candidates, choose, and only then accept and record.

    Args:
        site: this site, locked by the caller.
        path: the bundle's folder on the disk.
        tell: progress.
        also: folders of other copies of it, or of its parity, for files that are bad in the first.
        ask: where to write a signed request for the files that are bad, if some are.
        full: measure every candidate to the end, also where it cannot win. What this site measured and signed before
            it sent it, t = 0, is taken from there either way.

    Raises:
        AlxError: see `incoming.verified` and `Staged.states`; then nothing was changed.
        NotFiniteError: the own loss is finite nowhere; nothing was changed.
    """
    with incoming.verified(site, (path, *also), ask) as found:
        if isinstance(found, Path):
            body = site.position().selected[-1]
            return Chosen(found, site.signer(body["digest"]).fingerprint, again=True, body=body)
        body = _select(site, found, tell, full=full)
        taken, signer = incoming.accept(site, found, body), found.signed.signer.fingerprint
        return Chosen(taken, signer, again=False, body=body, rebuilt=found.rebuilt)


class _Candidates:
    """The candidates of a bundle as models: as many at once as fit, decoded where they are not there.

    Asked for in order, all are decoded in one pass, however few fit.
    """

    def __init__(self, task: Task, staged: Staged) -> None:
        self._task, self._staged = task, staged
        self._held: dict[int, nn.Module] = {}
        self.together = measure.together(task, staged.manifest.layout.nbytes)
        self._states, self._next = staged.states(), 0

    def models(self, wanted: Sequence[int]) -> list[nn.Module]:
        """The models of at most `together` candidates, in evaluation mode."""
        missing = sorted(set(wanted) - self._held.keys())
        over = max(0, len(self._held) + len(missing) - self.together)
        free = [self._held.pop(i) for i in [i for i in self._held if i not in wanted][:over]]
        for i in missing:
            model = free.pop() if free else self._task.new_model()
            self._held[i] = measure.loaded(self._task, model, from_flat(self._flat(i), self._staged.manifest.layout))
        return [self._held[i] for i in wanted]

    def _flat(self, index: int) -> memoryview:
        """A state, good until the next is asked for. Goes on from the last one where that is the shortest way."""
        if not self._staged.keyframe(index) <= self._next <= index:
            self._states, self._next = self._staged.states(index), index
        for i, flat in self._states:
            self._next = i + 1
            if i == index:
                return flat
        raise AssertionError("a candidate of the manifest has a state")

    def losses(self, wanted: Sequence[int], samples: select.Samples) -> NDArray[np.float64]:
        """Own losses [candidates, samples], for `select.race`."""
        with torch.no_grad():
            return cast("SampleLosses", self._task.sample_losses).of(self.models(wanted), torch.from_numpy(samples)).numpy()


def _select(site: Site, staged: Staged, tell: Tell, *, full: bool) -> dict[str, Any]:
    task = load.task(site.folder, site.config, site.plan)
    same_model(task, site.own_identity().layout)
    same_objective(site.plan, task, site.own_identity().file)
    manifest, own_samples = staged.manifest, site.own_identity().file.samples
    signed, samples = [c.loss for c in manifest.candidates], manifest.samples + own_samples
    candidates, start = _Candidates(task, staged), Start.find(site, manifest)
    if task.sample_losses is not None:
        same_count(task.sample_losses.count, own_samples)
        # all that are t = 0, bit for bit: measured and remembered, equals would not tie
        same = [i for i, c in enumerate(manifest.candidates) if c.state == manifest.candidates[0].state]
        known = dict.fromkeys(same, start.own) if start.own is not None else {}
        chosen = select.race(
            signed, own_samples, candidates.losses, samples, together=candidates.together, known=known, full=full,
            tell=lambda settled: tell("measuring", settled, len(signed), None),
        )  # fmt: skip
    else:
        own = []
        for i in range(len(signed)):
            with torch.no_grad():
                measured = task.measure(candidates.models([i])[0])
            same_count(measured.count, own_samples)
            own.append(measured.total)
            tell("measuring", i + 1, len(signed), None)
        chosen = select.select(signed, own, samples, own_samples)
    score = measure.held_out(task, candidates.models([chosen.index])[0])
    best = manifest.candidates[chosen.index]
    recipes.check(site, staged, task, chosen.index)
    body: dict[str, Any] = {
        "round": manifest.round,
        "digest": staged.signed.digest,
        "index": chosen.index,
        "label": best.label,
        "labels": [c.label for c in manifest.candidates],
        "signed": list(chosen.signed),
        "own": [_finite(x) if whole else None for x, whole in zip(chosen.own, chosen.whole, strict=True)],
        "at_least": [None if whole else _finite(x) for x, whole in zip(chosen.own, chosen.whole, strict=True)],
        "evaluations": chosen.evaluations,
        "scan": chosen.scan,
        "scored": score is not None,
        "held_out": _finite(score),
        "samples": chosen.samples,
        "global_loss": chosen.global_loss,
        "claimed_start": manifest.start.global_loss if manifest.start is not None else None,
        "blend": best.blend.model_dump() if best.blend is not None else None,
        "blend_true": True if best.blend is not None else None,  # else it was refused above
        "own_least": chosen.least_own,
    }
    return body | looks.flags(site, manifest, chosen, start, body["held_out"])


def _finite(value: float | None) -> float | None:
    """What JSON and the ledger have no word for becomes None."""
    return value if value is not None and math.isfinite(value) else None


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
    with shelf.opened(site, site.inbox / body["bundle"], body["digest"]) as (source, signed, manifest):
        flat = read.state(source, signed, manifest, chosen["index"])
        return Best(
            chosen["round"], chosen["label"], chosen["global_loss"], chosen["samples"], flat, manifest.layout,
            chosen["held_out"],
        )  # fmt: skip


def require_best_file(path: Path) -> None:
    """Refuse a file that is not one of `best_file`'s.

    Raises:
        MalformedError: it is another.
        StorageError: it cannot be read.
    """
    with files.storage(path):
        if not stat.S_ISREG(path.lstat().st_mode):  # no link is followed, no pipe waited for
            raise MalformedError(f"'{escape(path.name)}' is no plain file")
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
        except SafetensorError as error:
            raise MalformedError(f"'{escape(path.name)}' is no safetensors file") from error
    if BEST not in about:
        raise MalformedError(f"'{escape(path.name)}' is no model of alx best")


def best_file(found: Best) -> bytes:
    """The best model as a safetensors file; its one metadata key `BEST` is JSON with round, snapshot and global loss."""
    about = {
        "round": found.round,
        "snapshot": found.label,
        "global_loss": found.global_loss,
        "samples": found.samples,
    }
    return save(from_flat(found.state, found.layout), {BEST: json.dumps(about)})
