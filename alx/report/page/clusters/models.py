"""Models: the one that both sides share, how it is trained, every model that was on offer, and which one it ended with."""

from alx import files
from alx.bundle.closing import Closing
from alx.bundle.layout import Layout, Tensor
from alx.bundle.manifest import Candidate
from alx.errors import count
from alx.plan import Plan
from alx.report.page.content import Cell, Cluster, Column, Element, Part, Standing, listed
from alx.report.page.seen import Seen, place


def cluster(seen: Seen) -> Cluster:
    """What is told of the models."""
    parts = [_model(seen), _training(seen.plan), _result(seen), _offered(seen), *_tensors(seen)]
    return Cluster(
        key="models", title="Models", words="The model that both sides share, and every state of it.", parts=parts
    )


def _model(seen: Seen) -> Part:
    plan, layout = seen.plan, _layout(seen)
    frozen = next((m.stays for _, m in reversed(seen.turns) if m.stays is not None), None)
    source = None if plan is None or plan.model is None else plan.model.source
    code = None if seen.evidence.own is None else seen.evidence.own.file.code
    more = [] if code is None else [Element(name="SHA-256 of its own source file", value=code, standing="agreed")]
    if frozen is not None:
        value = f"{count(frozen.tensors, 'tensor')}, {files.size(frozen.bytes)}, digest {frozen.digest}"
        more.append(Element(name="stays at home on both sides", value=value, standing="claimed", note="named by its digest"))
    if plan is not None and plan.personal:
        more.append(
            Element(
                name="each site's own", value=", ".join(plan.personal), standing="agreed", note="neither sent nor blended"
            )
        )
    return Part(
        title="The model",
        elements=[
            Element(
                name="made by",
                value=source,
                standing="agreed" if source else "unknown",
                note="" if source else "a task of one's own may bring it, and a bundle alone does not say",
            ),
            Element(
                name="tensors that travel",
                value=None if layout is None else f"{len(layout.tensors)}, {files.size(layout.nbytes)} a state",
                standing="unknown" if layout is None else "checked" if seen.turns else "agreed",
            ),
            Element(
                name="fingerprint of names, types and shapes",
                value=None if layout is None else layout.fingerprint,
                standing="unknown" if layout is None else "checked" if seen.turns else "agreed",
            ),
            *more,
            Element(name="licence", value=None, standing="unknown", note="its makers have to name one"),
            Element(name="made for", value=None, standing="unknown", note="what it may be used for its makers have to say"),
        ],
    )


def _layout(seen: Seen) -> Layout | None:
    if seen.turns:
        return seen.turns[-1][1].layout
    return None if seen.evidence.own is None else seen.evidence.own.layout


def _training(plan: Plan | None) -> Part:
    if plan is None:
        gone = Element(name="training", value=None, standing="unknown", note="it stands in the plan, which no bundle holds")
        return Part(title="How it is trained", elements=[gone])
    optimiser = ", ".join(f"{k} {v}" for k, v in plan.optimiser.model_dump(exclude_defaults=True).items())
    steps = plan.round_steps
    told = (
        f"{steps:,} shared by samples"
        if isinstance(steps, int)
        else f"learner {steps.learner:,}, provider {steps.provider:,}"
    )
    said: dict[str, int | str] = {
        "rounds": plan.rounds,
        "steps of a round": told,
        "samples of a batch": plan.batch_size,
        "optimiser": optimiser,
        "loss": plan.loss,
        "losses are sums over": f"{plan.select_on} samples",
        "candidates": plan.candidates,
        "seed": plan.seed,
    }
    return Part(title="How it is trained", elements=[Element(name=k, value=v, standing="agreed") for k, v in said.items()])


def _result(seen: Seen) -> Part:
    closed = seen.closed
    if closed is None:
        last = seen.selected[-1][0] if seen.selected else None
        value = None if last is None else f"{last.label} of round {last.round}"
        note = "the exchange is not closed" if seen.evidence.site is not None else "a bundle alone does not say"
        end = next((r.manifest for r in seen.opened if isinstance(r.manifest, Closing)), None)
        if end is not None:
            named = Element(
                name="SHA-256 of its raw state",
                value=end.state,
                standing="claimed",
                note="the model that both sides end with",
            )
            loss = Element(
                name="global loss a sample",
                value=end.start.global_loss / end.start.samples,
                standing="claimed",
                note=f"over {end.start.samples:,} samples",
            )
            return Part(title="The model chosen last", elements=[named, loss])
        return Part(
            title="The model chosen last",
            elements=[Element(name="chosen last", value=value, standing="recorded" if value else "unknown", note=note)],
        )
    return Part(
        title="The model that both sides end with",
        elements=[
            Element(name="chosen", value=f"{closed.label} of round {closed.round}", standing="recorded"),
            Element(name="SHA-256 of its raw state", value=closed.state, standing="recorded", note="the same on both sides"),
            Element(
                name="global loss a sample", value=closed.mean, standing="recorded", note=f"over {closed.samples:,} samples"
            ),
        ],
    )


def _offered(seen: Seen) -> Part:
    columns = [
        Column(name="place"),
        Column(name="model"),
        Column(name="travels as"),
        Column(name="sender's loss sum", kind="number"),
        Column(name="SHA-256 of its raw state", kind="digest"),
    ]
    made = {id(c): r.made for r, m in seen.turns for c in m.candidates}
    each = [(m, c) for _, m in seen.turns for c in m.candidates]
    rows: list[list[Cell]] = [[place(m), c.label, _form(c, made=made[id(c)]), c.loss, c.state] for m, c in each]
    table = listed(caption="Every model on offer", standing="claimed", columns=columns, rows=rows)
    words = [
        "t=N is a snapshot at step N of a turn; a blend mixes states of both sides by its recipe.",
        "Weights were opened and their digests compared now; the loss sums are as the sender wrote.",
    ]
    return Part(title="Every model on offer", words=words if rows else [], tables=[table] if rows else [])


def _form(candidate: Candidate, *, made: bool) -> str:
    if candidate.files:
        solved = "solved for, " if candidate.solved else ""
        return f"{solved}weights, {count(len(candidate.files), 'file')}"
    return "recipe, made here to the bit" if made else "recipe"


def _tensors(seen: Seen) -> list[Part]:
    layout = _layout(seen)
    if layout is None:
        return []
    rows: list[list[Cell]] = [[t.name, t.dtype, _shape(t), t.nbytes] for t in layout.tensors]
    columns = [Column(name="name"), Column(name="type"), Column(name="shape"), Column(name="bytes", kind="number")]
    standing: Standing = "checked" if seen.turns else "agreed"
    return [
        Part(title="Tensors", tables=[listed(caption="Tensors of a state", standing=standing, columns=columns, rows=rows)])
    ]


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"
