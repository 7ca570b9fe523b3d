"""How a selection is told to people: every candidate in a table, then what it means and what deserves a look.

Knows the ledger's entry on a selection; knows no bundle.
"""

from typing import Any

from alx.cli import screen
from alx.plan import Plan


def _mean(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.4g}"  # noqa: PLR2004 - wider than its column


def table(body: dict[str, Any]) -> list[str]:
    """Every candidate with the sender's loss, one's own and the sum; means for people. `>=` where it was dropped."""
    n = body["samples"]
    rows = []
    for i, label in enumerate(body["labels"]):
        own, least = (None if body[key] is None else body[key][i] for key in ("own", "at_least"))
        if own is None and least is None:
            told = ["not finite" if body["own"] is not None else "unknown"] * 2  # unknown: after a reset of the ledger
        else:
            known, sign = (own, "") if own is not None else (least, ">= ")
            told = [f"{sign}{known:.3f}", sign + _mean((body["signed"][i] + known) / n)]
        rows.append([label, f"{body['signed'][i]:.3f}", *told, "<- chosen" if i == body["index"] else ""])
    return screen.table(["snapshot", "their loss sum", "own loss sum", "global mean", ""], rows)


def words(body: dict[str, Any], plan: Plan) -> list[str]:
    """What the selection means, and what about it deserves a look."""
    mean = body["global_loss"] / body["samples"]
    out = [
        f"chosen: {body['label']} of round {body['round']}, global loss {body['global_loss']:.6g} ({_mean(mean)} a sample)"
    ]
    if body["scored"]:
        out[0] += ", held-out score " + ("not finite" if body["held_out"] is None else f"{body['held_out']:.4f}")
    if body["at_least"] is not None and any(x is not None for x in body["at_least"]):
        out.append(
            f"{body['evaluations'] / body['scan']:.0%} of a full scan's evaluations were needed "
            f"({body['evaluations']:,} of {body['scan']:,}); what is marked >= cannot win"
        )
    if body["blend"]:
        b = body["blend"]
        momentum = f", and {b['momentum']:g} of the way since the start of its turn before" if b["momentum"] else ""
        says = "a blend, made anew here to the bit" if body["blend_true"] else "a blend, says the sender"
        out.append(
            f"{says}: from its start {b['own']:g} of the way to its step {b['own_step']} and "
            f"{b['peer']:g} of the way to step {b['peer_step']} of our bundle {b['peer_bundle'][:16]}…{momentum}"
        )
    if body["start_sent"] is True:
        out.append("the sender started from a snapshot that we sent, bit for bit")
    if body["start_sent"] is False:
        out.append("LOOK: the sender's t=0 is not the snapshot that it says it chose from ours; ask the peer")
    if body["start_loss_true"] is False:
        own, least, n = body["own"][0], body["at_least"][0], body["samples"]
        known, sign = (own, "") if own is not None else (least, "at least ")
        here = "not finite" if known is None else f"{sign}{(body['signed'][0] + known) / n:.6g}"
        out.append(
            f"LOOK: the sender says it began at a global loss of {body['claimed_start'] / n:.6g} a sample, and its t=0 has "
            f"{here} here; did its data or its device change? ask the peer"
        )
    if body["loss_rose"] is False:
        out.append("the global loss did not rise")
    if body["loss_rose"] is True:
        out.append("LOOK: the global loss rose, which it cannot on fixed data; did a data set change?")
    out += _too_good(body)
    if body["stalled"]:
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


def _too_good(body: dict[str, Any]) -> list[str]:
    """Where the sender's claims decided, and where things got worse on this side."""
    out, i = [], body["index"]
    own = None if body["own"] is None else body["own"][i]
    if body["claim_low"]:
        out.append(
            f"LOOK: the sender says that its own loss is {body['signed'][i]:.3f} there, far below what it says of the "
            f"candidates beside it, while ours is {own:.3f}; a false claim gets a model chosen: ask the peer"
        )
    if body["by_claim"]:
        least = body["own_least"]
        out.append(
            f"LOOK: by our own loss alone {body['labels'][least]} would have been chosen: {body['own'][least]:.3f} there, "
            f"{own:.3f} at {body['label']}, {own - body['own'][least]:.3f} more"
        )
    if body["own_rose"]:
        out.append(f"LOOK: our own loss got worse since the last selection, from {body['own_before']:.3f} to {own:.3f}")
    if body["score_fell"]:
        out.append(
            f"LOOK: the held-out score got worse since the last selection, from {body['held_out_before']:.4f} to "
            f"{body['held_out']:.4f}"
        )
    return out
