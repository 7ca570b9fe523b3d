"""What about a selection deserves a look: what was promised, compared with what was found; and claims too good to be true.

A lie about a loss cannot be proved, as only the sender has its data. It can be shown, and then people ask.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Self

from alx.bundle.manifest import Manifest
from alx.learning import select
from alx.plan import Plan
from alx.site import shelf
from alx.site.entries import Flags
from alx.site.state import SiteState

# Relative: what the same loss may differ by when a GPU sums in another order (float32 has 6e-8 a term).
LOSS_SLACK = 1e-5
ROUNDED_SLACK = 1e-3  # the same where the plan has losses measured in bfloat16 (4e-3 an output, less in a sum of many)
# A claim is too good where it is below this share of the least claim beside it, while one's own loss is not below that
# other share of one's own beside it (docs/decisions/0014-selection.md has what honest exchanges show).
CLAIM_SHARE, OWN_SHARE = 0.1, 0.5


@dataclass(frozen=True, slots=True)
class Start:
    """What this site knows of the model that the sender says it started from.

    Attributes:
        sent: the reply's t = 0 is, bit for bit, the candidate it says it started from, out of those sent; None where it
            answers nothing.
        own: one's own loss sum there, as it was measured and signed before that was sent; None unless `sent`.
    """

    sent: bool | None
    own: float | None

    @classmethod
    def find(cls, now: SiteState, manifest: Manifest) -> Self:
        """Look it up in the bundle that this site sealed last."""
        if manifest.start is None:
            return cls(None, None)
        with shelf.opened(now, now.position.sealed[-1]) as mine:
            offered = mine.manifest.candidates
        i = manifest.start.candidate
        sent = i < len(offered) and offered[i].state == manifest.candidates[0].state
        return cls(sent, offered[i].loss if sent else None)


def flags(now: SiteState, manifest: Manifest, chosen: select.Selection, start: Start, score: float | None) -> Flags:
    """What the paper's algorithm promises, and what an honest sender's claims look like, checked at run time.

    None where there is nothing to compare with.

    start_sent: see `Start`.
    start_loss_true: the global loss it says it started from is the one found here for t = 0.
    loss_rose: from this site's last selection to the sender's start, or from there to what was chosen now.
    stalled: the sender started at t = 0, and the best candidate is t = 0 again.
    claim_low: see `claim_low`.
    own_before, held_out_before: one's own loss and held-out score at the last selection.
    own_rose, score_fell: whether one's own loss, or the held-out score, got worse since then.
    by_claim: by own loss alone another candidate would have been chosen.

    Args:
        now: this site; its position is that before the bundle is accepted.
        manifest: the bundle's.
        chosen: what was selected.
        start: what is known of where the sender began.
        score: the held-out score of what was chosen.
    """
    slack = slack_of(now.site.plan)
    last = now.position.selected[-1] if now.position.selected else None
    way = [last.global_loss] if last else []
    start_loss_true = stalled = None
    if manifest.start is not None:
        claimed = manifest.start.global_loss
        found = chosen.totals[0]  # a lower bound where it was dropped: enough to find a claim too low
        if chosen.whole[0] or more(found, claimed, slack):
            start_loss_true = math.isclose(found, claimed, rel_tol=slack)
        stalled = manifest.start.candidate == 0 and chosen.index == 0
        way.append(claimed)
    way.append(chosen.global_loss)
    own, own_before = chosen.own[chosen.index], last.own_loss if last else None
    score_before = last.held_out if last else None
    return Flags(
        start_sent=start.sent,
        start_loss_true=start_loss_true,
        loss_rose=any(more(b, a, slack) for a, b in itertools.pairwise(way)) if len(way) > 1 else None,
        stalled=stalled,
        claim_low=claim_low(chosen, len(manifest.snapshots)) if now.site.plan.loss != "own" else None,
        own_before=own_before,
        own_rose=None if own_before is None else more(own, own_before, slack),
        held_out_before=score_before,
        score_fell=None if score is None or score_before is None else more(score_before, score),
        by_claim=more(own, chosen.own[chosen.least_own], slack),
    )


def slack_of(plan: Plan) -> float:
    """Relative: what the same loss may differ by from one measurement to another."""
    return ROUNDED_SLACK if plan.training.measures_rounded else LOSS_SLACK


def more(value: float, than: float, slack: float = LOSS_SLACK) -> bool:
    """Whether it is more, by more than rounding explains."""
    return value - than > slack * abs(than)


def claim_low(chosen: select.Selection, snapshots: int) -> bool:
    """Whether the sender's claim at what was chosen is far below its claims beside it, 0 say, while one's own loss is not.

    Beside a snapshot are those before and after it; beside a blend the last snapshot and the other blends.

    Args:
        chosen: losses that are never below 0; where one's own was not measured whole, a lower bound serves.
        snapshots: number of candidates that are snapshots; they come first.
    """
    i, count = chosen.index, len(chosen.signed)
    beside = {i - 1, i + 1} & set(range(snapshots)) if i < snapshots else set(range(snapshots - 1, count)) - {i}
    claim, own = chosen.signed[i], chosen.own[i]
    low = claim < CLAIM_SHARE * min(chosen.signed[j] for j in beside)  # where all are 0, one's own losses chose alone
    return low and own > 0 and own >= OWN_SHARE * min(chosen.own[j] for j in beside)
