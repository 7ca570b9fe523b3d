"""How a selection is told to people: every candidate in a table, then what it means and what deserves a look.

Knows the ledger's entry on a selection; knows no bundle.
"""

from alx.errors import escape
from alx.plan import Plan
from alx.report import columns
from alx.site.entries import Closed, Selected
from alx.site.handed_over import End


def _mean(value: float) -> str:
    return columns.number(value, below=1e6)


def _sum(value: float | None) -> str:
    return "unknown" if value is None else columns.number(value, 3)


def _score(value: float | None) -> str:
    return "not finite" if value is None else columns.number(value)


def table(chosen: Selected) -> list[str]:
    """Every candidate with the sender's loss, one's own and the sum; means for people. `>=` where it was dropped."""
    n = chosen.samples
    rows = []
    for i, label in enumerate(chosen.labels):
        known, whole = chosen.known(i)
        sign = "" if whole else ">= "
        if known is None:
            told = ["not finite" if chosen.own is not None else "unknown"] * 2  # unknown: after a reset of the ledger
        else:
            told = [f"{sign}{_sum(known)}", sign + _mean((chosen.signed[i] + known) / n)]
        rows.append([label, _sum(chosen.signed[i]), *told, "<- chosen" if i == chosen.index else ""])
    return columns.table(["snapshot", "their loss sum", "own loss sum", "global mean", ""], rows)


def closed(found: Closed, plan: Plan) -> list[str]:
    """What the closing means, and what about it deserves a look."""
    out = [f"the learner chose last: {_chosen(found, plan)}", f"this site has it too, bit for bit: {_model(found, plan)}"]
    if found.loss_rose:
        out.append("LOOK: the learner's global loss is above the one found here last, which it cannot be on fixed data")
    return out


_ENDS: dict[End, str] = {
    "sealed": "the closing is sealed; once it is imported, both have",
    "handed over": "done: the closing was handed over; once it is imported, both have",
    "received": "done: both sides have",
}


def ends(found: Closed, come: End, plan: Plan) -> list[str]:
    """What a site knows at the end; the learner knows by a receipt alone that the provider has imported its closing.

    Args:
        found: the ledger's record.
        come: how far the closing came.
        plan: the agreed one.
    """
    return [f"{_ENDS[come]} {_chosen(found, plan)}", _model(found, plan)]


def _model(found: Closed, plan: Plan) -> str:
    """Its digest, which is the same on both sides."""
    beside = "; beside what is so named each side has its own personal parts" if plan.personal else ""
    return f"model {found.state}{beside}"


def _chosen(found: Selected | Closed, plan: Plan) -> str:
    loss = f"global loss {found.global_loss:.6g}{plan.summed_over} ({_mean(found.mean)} a sample)"
    score = _score(found.held_out)
    return f"{found.label} of round {found.round}, {loss}" + (f", held-out score {score}" if found.scored else "")


def words(chosen: Selected, plan: Plan) -> list[str]:
    """What the selection means, and what about it deserves a look."""
    flags = chosen.flags
    own = ["what was chosen is shared; each side measured it with its own personal parts"] if plan.personal else []
    out = [f"chosen: {_chosen(chosen, plan)}", *own]
    if chosen.evaluations and chosen.scan and any(x is not None for x in chosen.at_least or ()):
        out.append(
            f"{chosen.evaluations / chosen.scan:.0%} of a full scan's evaluations were needed "
            f"({chosen.evaluations:,} of {chosen.scan:,}); what is marked >= cannot win"
        )
    if chosen.blend:
        b = chosen.blend
        momentum = f", and {b.momentum:g} of the way since the start of its turn before" if b.momentum else ""
        says = "a blend, made anew here to the bit" if chosen.blend_true else "a blend, says the sender"
        out.append(
            f"{says}: from its start {b.own:g} of the way to its step {b.own_step} and "
            f"{b.peer:g} of the way to step {b.peer_step} of our bundle {b.peer_bundle[:16]}…{momentum}"
        )
    if flags.start_sent is True:
        out.append("the sender started from a snapshot that we sent, bit for bit")
    if flags.start_sent is False:
        out.append("LOOK: the sender's t=0 is not the snapshot that it says it chose from ours; ask the peer")
    if flags.start_loss_true is False and chosen.claimed_start is not None:
        (known, whole), n = chosen.known(0), chosen.samples
        here = "not finite" if known is None else f"{'' if whole else 'at least '}{(chosen.signed[0] + known) / n:.6g}"
        out.append(
            f"LOOK: the sender says it began at a global loss of {chosen.claimed_start / n:.6g} a sample, and its t=0 has "
            f"{here} here; did its data or its device change? ask the peer"
        )
    if flags.loss_rose is not None:
        out.append(_rose(plan, rose=flags.loss_rose))
    if flags.restored_at is not None:
        to = f"round {flags.restored_to}" if flags.restored_to else "the time before its first round"
        out.append(
            f"LOOK: the peer says that its site was restored at {escape(flags.restored_at)}, to {to}; its bundle continues "
            "the history here, so it is no fork. Ask whether it was that site's people who did so"
        )
    if flags.spent_fell:
        out.append(
            "LOOK: the sender has spent no more of its privacy budget than in its bundle before, and each turn takes a "
            "share: was its ledger set back to an old copy? tell the peer"
        )
    out += _too_good(chosen)
    if flags.stalled:
        remedy = (
            "no blend was better either; a plan with fewer round_steps or a lower learning rate offers nearer ones"
            if plan.candidates == "blended"
            else 'a plan with candidates = "blended" gets out of it'
        )
        out.append(
            "STALL: both sides chose t=0, as every step on one's own data raised the global loss. "
            f"Remedy: {remedy} (a new plan needs new sites on both sides)"
        )
    return out


def _rose(plan: Plan, *, rose: bool) -> str:
    if plan.privacy is not None:
        told = "the losses that are compared have noise ([privacy]); beyond it the global loss"
        return f"LOOK: {told} rose; did a data set change?" if rose else f"{told} did not rise"
    if rose:
        return "LOOK: the global loss rose, which it cannot on fixed data; did a data set change?"
    return "the global loss did not rise"


def _too_good(chosen: Selected) -> list[str]:
    """Where the sender's claims decided, and where things got worse on this side."""
    out, flags, own = [], chosen.flags, chosen.own_loss
    if flags.claim_low:
        out.append(
            f"LOOK: the sender says that its own loss is {_sum(chosen.signed[chosen.index])} there, far below what it says "
            f"of the candidates beside it, while ours is {_sum(own)}; a false claim gets a model chosen: ask the peer"
        )
    if flags.by_claim and own is not None and chosen.own_least is not None:
        least, _ = chosen.known(chosen.own_least)
        out.append(
            f"LOOK: by our own loss alone {chosen.labels[chosen.own_least]} would have been chosen of what was measured "
            f"whole: {_sum(least)} there, {_sum(own)} at {chosen.label}, {_sum(own - (least or 0.0))} more"
        )
    if flags.own_rose:
        out.append(f"LOOK: our own loss got worse since the last selection, from {_sum(flags.own_before)} to {_sum(own)}")
    if flags.score_fell:
        out.append(
            f"LOOK: the held-out score got worse since the last selection, from {_score(flags.held_out_before)} to "
            f"{_score(chosen.held_out)}"
        )
    return out
