"""The commands about a model in use: write it, ask it; torch is imported inside of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alx import files
from alx.cli import screen
from alx.cli.options import around, new_file, site_option, unused_file
from alx.cli.screen import json_option
from alx.errors import MalformedError, UsageError, count, escape
from alx.report import answers, card
from alx.site import site as sites
from alx.site.site import Site

if TYPE_CHECKING:  # torch
    from alx.tasks.data.questions import Part
    from alx.turns.ask import InUse

MAX_CARD_BYTES = 1 << 20  # a page


@click.command(epilog="Example: alx best ../model.safetensors")
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT.safetensors")
@site_option
@json_option
def best(out: Path, site: Site, as_json: bool) -> None:
    """Write the selected model with the least global loss of all rounds, and what it takes to use it where no site is.

    Beside OUT.safetensors: OUT.plan.toml, the agreed plan to the byte; the model's own .py file, if the plan names one; and
    OUT.md, a card for people. Loading the model needs no alx; alx predict and alx evaluate find the plan there.
    """
    from alx import turns  # noqa: PLC0415 - torch
    from alx.turns import model_file  # noqa: PLC0415

    site.require_private()
    plan = site.plan_file
    new_file(site, out, "", "model of alx best under this plan", lambda path: model_file.require_own(path, plan.digest))
    beside = {model_file.plan_beside(out): plan.data}
    code = None if plan.plan.model is None else plan.plan.model.file()
    if code is not None:
        beside[out.with_name(code)] = sites.source(site.folder / code)
    for path, data in beside.items():
        new_file(site, path, "", "copy of this site's", partial(_require_same, data))
    if out in beside:
        raise UsageError(f"'{escape(str(out), 200)}' is the name of the model's own .py file", "name another file")
    page = model_file.card_beside(out)
    new_file(site, page, "", "card of alx best under this plan", lambda path: _require_card(path, plan.digest))
    now = site.look()
    found = turns.best(now)
    chosen, note = found.selected, model_file.note(found)
    told = card.text(
        chosen,
        plan,
        found.layout,
        name=out.name,
        weights=note.weights,
        keys=sorted([(site.role, now.public_key.fingerprint), (now.peer.file.role, now.peer_key.fingerprint)]),
        code=note.code,
        built_in=note.task == "built-in",
    )
    # the model last: where it is, all that it needs is beside it
    files.replace_all({**beside, page: told, out: turns.best_file(found)}, shared=True)
    if as_json:
        screen.machine(
            {
                "file": out,
                "plan": model_file.plan_beside(out),
                "card": page,
                "weights": note.weights,
                "round": chosen.round,
                "snapshot": chosen.label,
                "global_loss": chosen.global_loss,
                "samples": chosen.samples,
                "select_on": site.plan.select_on,
                "held_out": chosen.held_out,
            }
        )
        return
    score = "" if chosen.held_out is None else f", held-out score {chosen.held_out:.4f}"
    loss = f"global loss {chosen.global_loss:.6g}{site.plan.summed_over}"
    screen.tell(f"wrote '{out}': {chosen.label} of round {chosen.round}, {loss}{score}")
    names = [f"'{path.name}'" for path in (*beside, page)]
    screen.tell(f"beside it: {', '.join(names[:-1])} and the card {names[-1]}, which has no held-out score")


def _require_same(data: bytes, path: Path) -> None:
    with files.storage(path):
        plain = path.is_file() and not path.is_symlink()
    if not plain or files.read(path, len(data)) != data:
        raise MalformedError(f"'{escape(path.name)}' is another file")


def _require_card(path: Path, plan_digest: str) -> None:
    with files.storage(path):
        plain = path.is_file() and not path.is_symlink()
    if not plain or not card.is_card(files.read(path, MAX_CARD_BYTES), plan_digest):
        raise MalformedError(f"'{escape(path.name)}' is no card")


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which model, and how the data are read."""
    for option in reversed(
        (
            click.argument("model", type=click.Path(path_type=Path), required=False, metavar="[MODEL.safetensors]"),
            click.option(
                "--round",
                "round_",
                type=click.IntRange(min=1),
                metavar="N",
                help="In a site: what was selected in that round.",
            ),
            click.option(
                "--plan",
                "plan_path",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="The plan that MODEL was trained under; default: the one beside it, else the site's.",
            ),
            click.option(
                "--part",
                type=click.Choice(["train", "val", "test"]),
                help="Of an .npz or torchvision's sets; default: test, where there is one.",
            ),
            click.option(
                "--threshold",
                type=click.FloatRange(0, 1, min_open=True, max_open=True),
                metavar="P",
                help="Of two classes the second is answered from this probability on.",
            ),
            click.option("--device", metavar="DEVICE", help="auto, cpu, cuda:0, …; default: the site's, else auto."),
            click.option(
                "--site",
                "place",
                type=click.Path(path_type=Path),
                envvar="ALX_SITE",
                metavar="SITE",
                help="The site's folder; default: the one around the current folder, if any.",
            ),
            json_option,
        )
    ):
        command = option(command)
    return command


def _asked(
    model: Path | None, round_: int | None, plan_path: Path | None, place: Path | None, device: str | None
) -> "InUse":
    """The model that a person named."""
    from alx.turns import ask  # noqa: PLC0415 - torch

    if model is not None and round_ is not None:
        raise UsageError("--round and a MODEL were given", "leave out one: --round is for a model of the site's")
    site = around(place)
    if model is not None:
        return ask.in_file(model, plan_path, site, device)
    if site is None:
        raise UsageError("no MODEL was given, and there is no site here", "name a file of alx best, or a site with --site")
    if plan_path is not None:
        raise UsageError("--plan without a MODEL", "a site has its own plan")
    return ask.selected(site, round_, device)


@click.command(epilog="Example: alx predict model.safetensors --data csv:patients.csv --id patient --out answers.csv")
@model_options
@click.option("--data", required=True, metavar="KIND:PATH", help="What to answer; labels are not needed.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, metavar="OUT.csv", help="Where the answers go.")
@click.option(
    "--id", "name_by", metavar="COLUMN", help="A column of the data that names each row; default: the file, or the row."
)
def predict(
    model: Path | None,
    round_: int | None,
    plan_path: Path | None,
    part: "Part | None",
    threshold: float | None,
    device: str | None,
    place: Path | None,
    as_json: bool,
    data: str,
    out: Path,
    name_by: str | None,
) -> None:
    """Write a model's answers to data as a CSV: a line for each row or picture, in their order.

    Which one it is, the answer, and the probability of each class; or the number. MODEL is a file of alx best, with the plan
    beside it; without it, the site's best. Rows are counted from 0.
    """
    unused_file(out)
    from alx.turns import ask  # noqa: PLC0415 - torch

    used = _asked(model, round_, plan_path, place, device)
    found = ask.predict(used, data, part, name_by, threshold)
    written, mended = answers.text(found.columns)
    files.replace(out, written)
    if as_json:
        headings = [name for name, _ in found.columns]
        screen.machine({"file": out, "model": used.called, "samples": found.samples, "columns": headings, "mended": mended})
        return
    screen.tell(f"wrote '{out}': the answers of {used.called} to {count(found.samples, 'sample')} of {found.where}")
    if mended:
        which = f"{count(mended, 'cell')}, which a spreadsheet would run as a formula,"
        screen.tell(f"LOOK: {which} now begin{'s' if mended == 1 else ''} with an apostrophe")
