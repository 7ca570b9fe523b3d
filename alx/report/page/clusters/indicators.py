"""Indicators: how good the model is, as far as that travels, what was selected and why. Held-out scores stay in the site."""

from alx.errors import count
from alx.report import audit as words
from alx.report.page.content import Cell, Cluster, Column, Element, Part, Standing, Table, listed
from alx.report.page.seen import Seen
from alx.site.entries import Selected


def cluster(seen: Seen) -> Cluster:
    """What is told of how good the model is."""
    said = "How good the model is by the loss that both sides go by, and which model was chosen each time."
    return Cluster(key="indicators", title="Indicators", words=said, parts=[_scores(seen), *_selections(seen), _size(seen)])


def _scores(seen: Seen) -> Part:
    scored = sum(s.scored for s, _ in seen.selected)
    note = (
        f"measured at {count(scored, 'selection')} on samples kept apart; they never leave the site: alx status shows them"
        if scored
        else "on samples kept apart; a bundle never has any"
    )
    least = min((s for s, _ in seen.selected), key=lambda s: s.global_loss, default=None)
    best = None if least is None else f"{least.mean:.6g} a sample, {least.label} of round {least.round}"
    return Part(
        title="How good it is",
        elements=[
            Element(name="least global loss found here", value=best, standing="recorded" if best else "unknown"),
            Element(name="held-out scores", value=None, standing="unknown", note=note),
            Element(name="fairness, robustness", value=None, standing="unknown", note="not measured by alx"),
        ],
    )


def _selections(seen: Seen) -> list[Part]:
    if not seen.selected:
        return []
    columns = [
        Column(name="round", kind="number"),
        Column(name="when, UTC", kind="time"),
        Column(name="chosen"),
        Column(name="global loss a sample", kind="number"),
        Column(name="models on offer", kind="number"),
        Column(name="deserves a look"),
    ]
    rows: list[list[Cell]] = []
    for chosen, at in seen.selected:
        looks = "; ".join(look.removeprefix("LOOK: ") for look in words.looks(chosen.flags)) or (
            "not known" if _lost(chosen) else "nothing"
        )
        models = len(chosen.labels) or None
        rows.append([chosen.round, at, chosen.label, chosen.mean, models, looks])
    whole = "the sender's signed loss sum plus this site's own, over the samples of both sides"
    rule = f"Rule: of all models in the peer's bundle, the one with the least global loss: {whole}."
    if seen.plan is not None and seen.plan.privacy is not None:
        rule = (
            f"Rule: of all models in the peer's bundle, the one with the least global loss ({whole}) after each had a head "
            "start drawn by chance, under the plan's [privacy]; so the chosen one need not have the least sum here. The "
            "global loss that is told of it has noise. Own loss sums below have none, and never left this site."
        )
    table = Table(caption="Every selection of this site", standing="recorded", columns=columns, rows=rows)
    each = [_candidates(chosen) for chosen, _ in seen.selected if chosen.labels]
    return [Part(title="What was selected, and why", words=[rule, *_unknown(seen), *seen.caveat], tables=[table, *each])]


def _unknown(seen: Seen) -> list[str]:
    """What a rebuilt ledger does not have."""
    lost = sum(_lost(s) for s, _ in seen.selected)
    told = "this site's own losses, and what deserved a look, were lost with the ledger"
    return [f"Of {count(lost, 'selection')} {told}; the choice is what this site's own signed bundle tells."] if lost else []


def _lost(chosen: Selected) -> bool:
    """Whether a reset found it in this site's own answer; an event has no lists, and so no loss either."""
    return bool(chosen.labels) and chosen.own is None


def _candidates(chosen: Selected) -> Table:
    """Their loss sum is the sender's claim; the other is this site's own, and the sum of both over all samples the mean."""
    rows: list[list[Cell]] = []
    for i, label in enumerate(chosen.labels):
        known, whole = chosen.known(i)
        mean = None if known is None else (chosen.signed[i] + known) / chosen.samples
        note = "chosen" if i == chosen.index else "" if known is None or whole else "at least; cannot win"
        rows.append([label, chosen.signed[i], known, mean, note])
    return listed(
        caption=f"Round {chosen.round}: every model, their loss sum as they wrote it, and ours",
        standing="recorded",
        columns=[
            Column(name="model"),
            Column(name="their loss sum", kind="number"),
            Column(name="own loss sum", kind="number"),
            Column(name="global loss a sample", kind="number"),
            Column(name="result"),
        ],
        rows=rows,
    )


def _size(seen: Seen) -> Part:
    known: Standing = "checked" if seen.opened else "unknown"
    note = seen.caveat[0] if seen.caveat else ""
    size, raw = sum(r.size for r in seen.opened), sum(r.raw_size for r in seen.opened)
    return Part(
        title="What it takes",
        elements=[
            Element(name="bytes of all bundles", value=size if seen.opened else None, standing=known, note=note),
            Element(name="bytes of their weights, raw", value=raw if seen.opened else None, standing=known),
            Element(name="time, energy", value=None, standing="unknown", note="not recorded"),
        ],
    )
