"""The card of a model, for whoever gets it: what it is, how its inputs are made, how it is loaded without alx.

Knows the plan and the ledger's entry on a selection. Names that two sites agreed on may still hold anything: in Markdown all
of them are code. What was measured on data kept apart is a site's own, and is not here.
"""

import json
from collections.abc import Sequence

from alx import __version__
from alx.bundle.layout import Layout
from alx.columns import Categorical, Columns, Numeric
from alx.errors import count, escape
from alx.objective import Objective
from alx.plan import Images, ModelSource, Plan, PlanFile
from alx.site.entries import Closed, Selected

MAX_TEXT = 200  # of a name; an honest one is shorter
MAX_LISTED = 50  # classes, columns or tensors in a table; the plan beside the card has all


def text(
    chosen: Selected | Closed,
    plan_file: PlanFile,
    layout: Layout,
    *,
    name: str,
    weights: str,
    frozen: str | None,
    personal: Sequence[str],
    keys: Sequence[tuple[str, str]],
    code: str | None,
    built_in: bool,
    digest: str,
    bill: str,
    license_: str | None,
) -> bytes:
    """The card, in the form of a Hugging Face model card.

    Args:
        chosen: the selection that it came out of, or the closing.
        plan_file: the agreement.
        layout: the model's tensors.
        name: of the model's file.
        weights: SHA-256 of the raw state: of what travelled.
        frozen: the digest of what nothing changes, as a bundle's manifest has it; None where there is nothing.
        personal: the tensors that only the site has that writes the card.
        keys: who, and the fingerprint of its key, of each side.
        code: SHA-256 of the model's own .py file, if the plan names one.
        built_in: the plan alone says how inputs are made.
        digest: SHA-256 of the model's file.
        bill: name of its bill of materials.
        license_: as a person named it; None where nobody did.
    """
    plan = plan_file.plan
    does = task(plan)
    lines = [
        "---",
        f"license: {'unknown' if license_ is None else json.dumps(license_.lower())}",
        f"library_name: {'torchvision' if plan.model and plan.model.source.startswith('torchvision:') else 'pytorch'}",
        *([] if does is None else [f"pipeline_tag: {does}"]),
        "tags: [alx, assisted-learning, safetensors]",
        f"metrics: [{plan.loss}]",
        f"alx_plan: {plan_file.digest}",
        "---",
        "",
        f"# {plan.name}",
        "",
        "One model, made by two organisations that train in turns, each on its own data; bundles are carried between them",
        "on a disk, signed, and no data leave a site (alx, assisted learning).",
        "",
        "| | |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in _facts(chosen, plan_file, (weights, frozen), keys, code)),
        f"| file | {_code(name)}, SHA-256 {_code(digest)} |",
        f"| bill of materials, for programs | {_code(bill)} |",
        "",
        *_personal(personal),
        "The global loss is a sum over the samples of both sites. Scores on data that a site keeps apart stay there:",
        "`alx evaluate` gives them to its own people, or to whoever has samples of their own. What this model may be used",
        "for, and for whom it is right, its makers have to say; the license is theirs to name.",
        "",
        *_inputs(plan, built_in=built_in),
        "",
        *_answers(plan),
        "",
        *_loading(plan, name),
        "",
        "## Tensors",
        "",
        f"{count(len(layout.tensors), 'tensor')}, {layout.nbytes:,} bytes.",
        "",
        "| name | type | shape |",
        "|---|---|---|",
        *(f"| {_code(t.name)} | {t.dtype} | {' x '.join(map(str, t.shape)) or '-'} |" for t in layout.tensors[:MAX_LISTED]),
        *_more(len(layout.tensors), 3),
    ]
    return ("\n".join(lines) + "\n").encode("utf-8")


def is_card(data: bytes, plan_digest: str) -> bool:
    """Whether a file is a card under this plan."""
    head = data.split(b"\n---\n", 1)[0]
    return data.startswith(b"---\n") and f"\nalx_plan: {plan_digest}".encode() in head


def task(plan: Plan) -> str | None:
    """What it does, by Hugging Face's word; None where the plan alone does not say."""
    numbers = plan.loss == "mse"
    if plan.columns is not None:
        return "tabular-regression" if numbers else "tabular-classification"
    return None if plan.images is None or numbers else "image-classification"


def _facts(
    chosen: Selected | Closed,
    plan_file: PlanFile,
    digests: tuple[str, str | None],
    keys: Sequence[tuple[str, str]],
    code: str | None,
) -> list[tuple[str, str]]:
    plan, (weights, frozen) = plan_file.plan, digests
    travelled = "what travelled, the raw state" if frozen is not None or plan.personal else "the raw state"
    return [
        ("plan", f"{_code(plan.name)}, SHA-256 {_code(plan_file.digest)}"),
        *([] if code is None else [("the model's own file", f"{_code(_own_file(plan))}, SHA-256 {_code(code)}")]),
        ("weights", f"SHA-256 {_code(weights)} of {travelled}: both sites' bundles name it so"),
        *([] if frozen is None else [("frozen weights", f"digest {_code(frozen)}: both sites have them, no bundle does")]),
        ("chosen", f"{_code(chosen.label)} of round {chosen.round} of {plan.rounds}"),
        ("global loss", f"{chosen.global_loss:.6g}{plan.summed_over}, {chosen.mean:.6g} a sample ({_code(plan.loss)})"),
        ("samples", f"{chosen.samples:,} of both sites together"),
        *((f"key of the {who}", f"SHA-256 {_code(fingerprint)}") for who, fingerprint in keys),
        ("written by", f"alx {__version__}"),
    ]


def _personal(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [
        f"One site's own, trained on its data alone and never sent, are {count(len(names), 'tensor')}: {_listed(names)}.",
        "The other site's model has others there. The digest above is of what both have, and the global loss is the sum of",
        "each site's loss at its own model: this one is made for data like those of the site that wrote it.",
        "",
    ]


def _own_file(plan: Plan) -> str:
    return (plan.model.file() if plan.model else None) or ""


def _inputs(plan: Plan, *, built_in: bool) -> list[str]:
    head = ["## What goes in", ""]
    if not built_in:
        return [
            *head,
            "A program of the site's own makes the inputs; the plan alone does not say how. Ask its makers for it.",
        ]
    if plan.columns is not None:
        return head + _columns(plan.columns)
    if plan.images is not None:
        return head + _images(plan.images)
    return [
        *head,
        "Pixels of 8 bits, divided by 255, as [n, channels, height, width]; other numbers as they are, in float32.",
    ]


def _columns(columns: Columns) -> list[str]:
    each: list[tuple[str, str, int, Numeric | Categorical]] = [
        *((name, _scaled("number", c), 1, c) for name, c in columns.numeric.items()),
        *((name, _scaled(f"date, {c.unit} since {c.since}", c), 1, c) for name, c in columns.date.items()),
        *((name, f"one-hot over {_listed(c.values)}", len(c.values), c) for name, c in columns.categorical.items()),
    ]
    rows = [
        f"| {_code(name)} | {becomes} | {inputs + c.indicator} | {_missing(c.missing)}"
        f"{', and 1 in the input behind it, else 0' if c.indicator else ''} |"
        for name, becomes, inputs, c in each
    ]
    return [
        "A row of a table becomes one row of float32, in this order. `docs/plan.md` of alx has the rules, and the plan",
        "beside this card has every value.",
        "",
        "| column | becomes | inputs | a missing cell |",
        "|---|---|---|---|",
        *rows[:MAX_LISTED],
        *_more(len(rows), 4),
    ]


def _scaled(what: str, column: Numeric) -> str:
    return f"{what}: (value - {column.mean:g}) / {column.std:g}"


def _images(images: Images) -> list[str]:
    size = (
        "as they are" if images.size is None else f"resized to {images.size[0]} x {images.size[1]} (bilinear, antialiased)"
    )
    normalised = [
        f"{what} {_numbers(numbers)}" for what, numbers in (("minus", images.mean), ("divided by", images.std)) if numbers
    ]
    kind = "grey" if images.channels == 1 else "colour"
    steps = ", ".join(["divided by 255", *normalised])
    return [f"Images in {kind}, {size}, {steps}: float32 [n, {images.channels}, height, width]."]


def _answers(plan: Plan) -> list[str]:
    head = ["## What comes out", ""]
    classes = plan.class_names
    if plan.loss == "own":
        return [*head, "Whatever the site's own program takes it for."]
    if plan.loss == "mse":
        label = f" of {_code(plan.columns.label)}" if plan.columns else ""
        return [*head, f"The number{label} itself."]
    named = f", in this order: {_listed(classes)}" if classes else ""
    leaning = plan.objective != Objective(costs=plan.objective.costs)
    told = (
        ["The plan weighs samples, so these lean to one side; `alx predict` takes that back for classes."] if leaning else []
    )
    if plan.objective.costs:
        told.append("The plan has costs: `alx predict` gives the answer that is cheapest by the probabilities.")
    if plan.loss == "cross_entropy":
        return [*head, f"A logit for each class{named}; their softmax are the probabilities.", *told]
    return [*head, f"A logit for each yes-or-no label; its sigmoid is the probability of 1{named}.", *told]


def _loading(plan: Plan, name: str) -> list[str]:
    """Ten lines of plain Python."""
    head = [
        "## How it is used",
        "",
        "With alx, where the plan lies beside the model:",
        "",
        "```sh",
        "alx predict MODEL.safetensors --data KIND:PATH --out ANSWERS.csv",
        "```",
        "",
        f"Without {'its commands, with alx installed' if _of_alx(plan) else 'it'}:",
        "",
    ]
    made = None if plan.model is None else _made(plan.model)
    after = {
        "cross_entropy": "    probabilities = model(inputs).softmax(1)",
        "binary_cross_entropy": "    probabilities = model(inputs).sigmoid()",
    }.get(plan.loss, "    answers = model(inputs)")
    code = [
        "```python",
        "import torch",
        "from safetensors.torch import load_file",
        *(["# make the model as [model] in the plan says"] if made is None else made),
        f"model.load_state_dict(load_file({name!a}))",
        "model.eval()",
        "with torch.no_grad():",
        f"{after}  # inputs: see above",
        "```",
    ]
    own = _own_file(plan)
    told = ["", f"{_code(own)} is a program: read it before it runs."] if own else []
    return head + code + told


def _of_alx(plan: Plan) -> bool:
    """Whether the network's code is alx's own."""
    return plan.model is not None and plan.model.source.startswith("alx.")


def _made(source: ModelSource) -> list[str] | None:
    """The lines that make the model, where its source is a plain name."""
    where, function = source.source.split(":", 1)
    where = where.removesuffix(".py")
    arguments = "".join(f", {key}={value!a}" for key, value in source.arguments.items()).removeprefix(", ")
    if not all(part.isidentifier() and part.isascii() for part in [*where.split("."), *source.arguments]):
        return None
    if where == "torchvision":
        return [f"from torchvision.models import {function}", f"model = {function}({arguments})"]
    return [f"from {where} import {function}", f"model = {function}({arguments})"]


def _missing(rule: object) -> str:
    if isinstance(rule, float | int):
        return f"{rule:g} in its place"
    return "all zeros" if rule == "zeros" else "refused"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(_code, names[:MAX_LISTED])) + more


def _more(number: int, width: int) -> list[str]:
    return [] if number <= MAX_LISTED else [f"| and {number - MAX_LISTED} more {'| ' * (width - 1)}|"]


def _code(text: str) -> str:
    """A name as code: no mark-up, no link, no cell of a table, whatever is in it."""
    return "`" + escape(text, MAX_TEXT).replace("`", "'").replace("|", "/") + "`"
