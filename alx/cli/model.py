"""The commands that ask a model in use; torch is imported inside of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alx import files
from alx.cli import screen
from alx.cli.options import around, place_option, unused_file
from alx.cli.screen import json_option
from alx.errors import UsageError, count, escape
from alx.report import answers, scores, summary
from alx.site import site_file
from alx.site.site_file import Data

MAX_TWICE = 5  # names that are told

if TYPE_CHECKING:  # torch
    from alx.tasks.data.questions import Part
    from alx.turns.in_use import InUse


def asked(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which model, and how it is asked: what `alx evaluate` and `alx predict` both take."""
    parameters = (
        click.argument("model", type=click.Path(path_type=Path), required=False, metavar="[MODEL.safetensors]"),
        click.option(
            "--plan",
            "plan_path",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The plan that MODEL was trained under; default: the one beside it, else the site's.",
        ),
        click.option(
            "--round",
            "round_",
            type=click.IntRange(min=1),
            metavar="N",
            help="Without MODEL: what the site selected in that round; default: the best of all.",
        ),
        click.option(
            "--table",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="How a CSV is written, the fields of [data.table]; default: as the site's own is.",
        ),
        click.option(
            "--part",
            type=click.Choice(["train", "val", "test"]),
            help="Of an .npz, torchvision's sets or the site's own data; default: test, where there is one.",
        ),
        click.option(
            "--threshold",
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            metavar="P",
            help="Of two classes: above this probability the positive one is answered; default: [metrics], else 0.5.",
        ),
        click.option(
            "--positive", metavar="CLASS", help="Of two classes, the one to be found; default: [metrics], else the second."
        ),
        click.option("--device", metavar="DEVICE", help="auto, cpu, cuda:0, …; default: the site's, else auto."),
        place_option,
        json_option,
    )
    for parameter in reversed(parameters):
        command = parameter(command)
    return command


def _data(value: str | None, table: Path | None) -> Data | None:
    if value is None and table is not None:
        raise UsageError("--table without --data", "a site's own data are written as its site.toml says")
    return None if value is None else site_file.named(value, None, table=table)


def _in_use(
    model: Path | None, plan_path: Path | None, round_: int | None, device: str | None, place: Path | None
) -> "InUse":
    """The model that a person named."""
    from alx.turns import in_use  # noqa: PLC0415 - torch

    site = around(place)
    if model is None and site is None:
        raise UsageError("no MODEL was given, and there is no site here", "name a file of alx best, or a site with --site")
    for option, given, other in (("--round", round_, model), ("--plan", plan_path, site if model is None else None)):
        if given is not None and other is not None:
            raise UsageError(f"{option} beside {'a MODEL' if model else 'no MODEL'}", "leave out one of them")
    if model is not None:
        return in_use.in_file(model, plan_path, site, device)
    return in_use.selected(site, round_, device)  # type: ignore[arg-type] # refused above


@click.command(epilog="Example: alx evaluate model.safetensors --data csv:last-year.csv --by hospital")
@asked
@click.option("--data", metavar="KIND:PATH", help="Samples with labels; default: what the site keeps apart.")
@click.option("--by", multiple=True, metavar="COLUMN", help="The same for each value of a column; may be given again.")
def evaluate(
    model: Path | None,
    plan_path: Path | None,
    round_: int | None,
    table: Path | None,
    part: "Part | None",
    threshold: float | None,
    positive: str | None,
    device: str | None,
    place: Path | None,
    as_json: bool,
    data: str | None,
    by: tuple[str, ...],
) -> None:
    """Say how good a model is on samples with labels: the plan's loss, and metrics beside those of no model.

    MODEL is a file of alx best, with its plan beside it; without it, a model of the site's. Of a site's own data, --part
    takes what is trained on, what models are selected on, or what is kept apart. Nothing of it is sent.
    """
    from alx.turns import ask  # noqa: PLC0415 - torch

    used = _in_use(model, plan_path, round_, device, place)
    found = ask.evaluate(used, _data(data, table), part, by, threshold, positive)
    told = found.scores
    looks = [] if told is None else scores.looks(told.values, told.majority, confusion=told.confusion)
    looks += summary.ranges(found.seen)
    if as_json:
        values = (
            {}
            if told is None
            else {"metrics": told.values, "majority": told.majority, "groups": told.groups, "confusion": told.confusion}
        )
        told_of = {"model": used.called, "data": found.where, "samples": found.samples, "loss": found.loss}
        screen.machine(told_of | values | {"looks": looks})
        return
    own = used.task is not None
    loss = f"{'loss' if own else used.plan.loss} {found.loss:.6g} a sample"
    screen.tell(f"{used.called}, {count(found.samples, 'sample')} of {found.where}: {loss}")
    if told is not None:
        shown = scores.table(
            told.values,
            told.majority,
            told.groups,
            confusion=told.confusion,
            whole=True,
            head="on samples kept apart" if own else "on these samples",
        )
        screen.tell(*shown)
    screen.tell(*looks)


@click.command(epilog="Example: alx predict model.safetensors --data csv:patients.csv --id patient --out answers.csv")
@asked
@click.option("--data", required=True, metavar="KIND:PATH", help="What is to be answered; labels are not looked at.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, metavar="OUT.csv", help="A new file.")
@click.option("--id", "name_by", metavar="COLUMN", help="What names each row; default: a picture's path, else its place.")
def predict(
    model: Path | None,
    plan_path: Path | None,
    round_: int | None,
    table: Path | None,
    part: "Part | None",
    threshold: float | None,
    positive: str | None,
    device: str | None,
    place: Path | None,
    as_json: bool,
    data: str,
    out: Path,
    name_by: str | None,
) -> None:
    """Write a model's answers as a CSV: a line for each row or picture, in their order.

    It says which one it is, the answer, and the probability of each class; or the number. MODEL is a file of alx best,
    with its plan beside it; without it, a model of the site's. Rows are counted from 0.
    """
    unused_file(out)
    from alx.turns import ask  # noqa: PLC0415 - torch

    used = _in_use(model, plan_path, round_, device, place)
    found = ask.predict(used, site_file.named(data, None, table=table), part, name_by, threshold, positive)
    written, mended = answers.text(found.columns)
    files.replace(out, written)
    looks = [*_twice(found.columns[0]), *summary.ranges(found.seen)]
    if as_json:
        headings = [name for name, _ in found.columns]
        told = {"file": out, "model": used.called, "samples": found.samples, "columns": headings, "mended": mended}
        screen.machine(told | {"looks": looks})
        return
    screen.tell(f"wrote '{out}': the answers of {used.called} to {count(found.samples, 'sample')} of {found.where}")
    if used.plan.objective.costs:
        screen.tell("each answer is the one that costs least by the plan's costs, which need not be the likeliest")
    screen.tell(*looks)
    if mended:
        which = f"{count(mended, 'cell')}, which a spreadsheet would run as a formula,"
        screen.tell(f"LOOK: {which} now begin{'s' if mended == 1 else ''} with an apostrophe")


def _twice(named: tuple[str, Sequence[str | int | float]]) -> list[str]:
    """That some rows have one name, where --id gave it."""
    column, names = named
    often = [name for name, n in Counter(names).items() if n > 1]
    few = ", ".join(escape(str(name), 40) for name in often[:MAX_TWICE]) + (", …" if len(often) > MAX_TWICE else "")
    return [f"LOOK: {count(len(often), 'value')} of '{escape(column)}' stand in more than one row: {few}"] if often else []
