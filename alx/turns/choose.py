"""Import and select: take a verified bundle in, add one's own loss to its candidates', choose."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alx.learning import measure, select
from alx.learning.task import SampleLosses, Scores, Task
from alx.progress import Tell, silent
from alx.records import finite
from alx.site import entries, shelf
from alx.site.entries import Closed, Selected
from alx.site.state import SiteState
from alx.steps import incoming
from alx.steps.incoming import Staged, StagedClosing
from alx.tasks import load
from alx.turns import budget, looks, personal, recipes
from alx.turns.bridge import from_flat, same_count, same_model, same_objective
from alx.turns.introduce import refuse_other_data
from alx.turns.looks import Start


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `import_and_select` found; all of it stands in the ledger too. Of the closing: what the learner chose."""

    bundle: Path
    signer: str
    again: bool
    selected: Selected | Closed
    rebuilt: int = 0
    """Number of files that came out of parity."""
    mended: bool = False
    """Whether it was imported before, was damaged in the inbox, and is good there again."""
    recipes: int = 0
    """Number of blends that came as recipes and were made here; 0 where it was imported before."""

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "bundle": self.bundle,
            "signer": self.signer,
            "again": self.again,
            "mended": self.mended,
            "rebuilt": self.rebuilt,
            "recipes": self.recipes,
            "selection" if isinstance(self.selected, Selected) else "closed": entries.plain(self.selected),
        }


def import_and_select(
    now: SiteState,
    path: Path,
    tell: Tell = silent,
    *,
    also: Sequence[Path] = (),
    ask: Path | None = None,
    full: bool = False,
) -> Chosen:
    """Verify the peer's bundle, measure one's own loss at its candidates, choose, and only then accept and record.

    The closing offers no candidates: it says which of this site's own the learner chose last.

    Args:
        now: this site, locked by the caller.
        path: the bundle's folder on the disk.
        tell: progress.
        also: folders of other copies of it, of its shares on other disks, or of its parity.
        ask: where to write a signed request for the files that are bad, if some are.
        full: measure every candidate to the end, also where it cannot win. What this site measured and signed before
            it sent it, t = 0, is taken from there either way.

    Raises:
        AlxError: see `incoming.verified` and `Staged.states`; then nothing was changed.
        BudgetError: more of the privacy budget is gone than it has; nothing was changed.
        NotFiniteError: the own loss is finite nowhere; nothing was changed.
    """
    with incoming.verified(now, (path, *also), ask) as found:
        if isinstance(found, incoming.Known):
            last, closed = now.position.accepted[-1], now.position.closed
            signer = now.keyring.signers[last.digest].fingerprint
            known = closed if last.closing and closed is not None else now.position.selected[-1]
            return Chosen(found.folder, signer, again=True, selected=known, mended=found.mended)
        if isinstance(found, StagedClosing):
            closed = _close(now, found)
            taken, signer = incoming.accept(now, found, closed), found.signed.signer.fingerprint
            return Chosen(taken, signer, again=False, selected=closed)
        selected = _select(now, found, tell, full=full)
        taken, signer = incoming.accept(now, found, selected), found.signed.signer.fingerprint
        made = len(found.manifest.candidates) - found.manifest.weighed
        return Chosen(taken, signer, again=False, selected=selected, rebuilt=found.rebuilt, recipes=made)


class _Candidates:
    """The candidates of a bundle as models: as many at once as fit, decoded where they are not there.

    Each has this site's own personal parts. Asked for in order, all are decoded in one pass, however few fit.
    """

    def __init__(self, task: Task, staged: Staged, own: dict[str, Tensor]) -> None:
        self._task, self._staged, self._own = task, staged, own
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
            state = from_flat(self._flat(i), self._staged.manifest.layout) | self._own
            self._held[i] = measure.loaded(self._task, model, state)
        return [self._held[i] for i in wanted]

    def _flat(self, index: int) -> memoryview:
        """A state, good until the next is asked for. Goes on from the last one where that is the shortest way."""
        if not self._staged.manifest.keyframe(index) <= self._next <= index:
            self._states, self._next = self._staged.states(index), index
        for i, flat in self._states:
            self._next = i + 1
            if i == index:
                return flat
        raise AssertionError("a candidate of the manifest has a state")

    def losses(self, wanted: Sequence[int], samples: select.Samples) -> NDArray[np.float64]:
        """Own losses [candidates, samples], for `select.race`."""
        with measure.exact():
            return cast("SampleLosses", self._task.sample_losses).of(self.models(wanted), torch.from_numpy(samples)).numpy()


def _select(now: SiteState, staged: Staged, tell: Tell, *, full: bool) -> Selected:
    site = now.site
    if site.plan.privacy is not None:
        budget.refuse_spent(now)
        budget.check_noise(now, staged.manifest)
    load.refuse_alone(site.config)
    task = load.task(site.folder, site.config, site.plan)
    same_model(task, now.own.file)
    same_objective(site.plan, task, now.own.file)
    refuse_other_data(site, task, now.own.file.samples)
    recipes.same_averaged(task, staged.manifest)
    manifest, own_samples = staged.manifest, now.own.file.samples
    signed, samples = [c.loss for c in manifest.candidates], manifest.samples + own_samples
    share = None
    if site.plan.privacy is not None:
        share = budget.share(now, task, f"choice from {staged.signed.digest}", site.config.device)
    ahead = [0.0] * len(signed) if share is None else share.head_starts(len(signed))
    held = [loss - start for loss, start in zip(signed, ahead, strict=True)]
    own_parts = personal.unpacked(personal.beside(now, manifest))
    candidates, start = _Candidates(task, staged, own_parts), Start.find(now, manifest)
    if task.sample_losses is not None:
        same_count(task.sample_losses.count, own_samples)
        # all that are t = 0, bit for bit: measured and remembered, equals would not tie
        same = [i for i, c in enumerate(manifest.candidates) if c.state == manifest.candidates[0].state]
        known = dict.fromkeys(same, start.own) if start.own is not None and share is None else {}
        chosen = select.race(
            held,
            own_samples,
            candidates.losses,
            samples,
            together=candidates.together,
            known=known,
            full=full,
            tell=lambda settled: tell("measuring", settled, len(signed)),
        )
    else:
        own = []
        for i in range(len(signed)):
            with measure.exact():
                measured = task.measure(candidates.models([i])[0])
            same_count(measured.count, own_samples)
            own.append(measured.total)
            tell("measuring", i + 1, len(signed))
        chosen = select.select(held, own, samples, own_samples)
    chosen = dataclasses.replace(chosen, signed=tuple(signed))
    score = measure.held_out(task, candidates.models([chosen.index])[0])
    recipes.check(staged, task, chosen.index)
    told = chosen.global_loss
    if share is not None:  # the peer, and whoever gets the model, is told this one
        told = signed[chosen.index] + share.noised([chosen.own[chosen.index]], budget.TOLD)[0]
    made = Selected.of(manifest, staged.signed.digest, chosen.index, samples=chosen.samples, global_loss=told)
    return made._replace(
        own=tuple(finite(x) if whole else None for x, whole in zip(chosen.own, chosen.whole, strict=True)),
        at_least=tuple(None if whole else finite(x) for x, whole in zip(chosen.own, chosen.whole, strict=True)),
        evaluations=chosen.evaluations,
        scan=chosen.scan,
        scored=score is not None,
        held_out=None if score is None else score.score,
        metrics=_metrics(score),
        blend_true=None if made.blend is None else True,  # else it was refused above
        own_least=chosen.least_own,
        flags=looks.flags(now, manifest, chosen, start, None if score is None else score.score),
    )


def _close(now: SiteState, staged: StagedClosing) -> Closed:
    """Make the model that the closing names, out of this site's own bundle, and score it."""
    site, closed = now.site, staged.closed
    task = load.task(site.folder, site.config, site.plan)
    same_model(task, now.own.file)
    with shelf.opened(now, now.position.sealed[-1]) as mine, shelf.opened(now, now.position.accepted[-1]) as theirs:
        flat, layout = mine.state(closed.candidate), mine.manifest.layout
        noise = looks.noise(mine.manifest, theirs.manifest)
    own_parts = personal.unpacked(personal.of_candidate(now, now.position.sealed[-1], closed.candidate))
    score = measure.held_out(task, measure.loaded(task, task.new_model(), from_flat(flat, layout) | own_parts))
    rose = looks.more(closed.global_loss, now.position.selected[-1].global_loss, looks.slack_of(site.plan), noise)
    return closed._replace(
        scored=score is not None, held_out=None if score is None else score.score, metrics=_metrics(score), loss_rose=rose
    )


def _metrics(score: Scores | None) -> entries.Metrics | None:
    return None if score is None else entries.Metrics(score.values, score.majority, score.groups, score.confusion)
