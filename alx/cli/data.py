"""The commands that look at data before there is an exchange; torch is imported where there are data to look at."""

import hashlib
from pathlib import Path
from typing import get_args

import click

from alx import files
from alx.bundle import carried, description
from alx.cli import passphrase as passphrases
from alx.cli import screen
from alx.cli.options import at, new_file, place_option
from alx.cli.screen import json_option
from alx.errors import UsageError, escape
from alx.plan import Plan, PlanFile
from alx.records import Role
from alx.report import description as described
from alx.report import summary
from alx.site import events, site_file
from alx.site import site as sites
from alx.site.entries import Described
from alx.site.site_file import Data, DataKind, SiteFile
from alx.steps import disclosure, new
from alx.summary import Summary

KINDS = get_args(DataKind)


def _data(value: str | None, held_out: str | None, validation: str | None, table: Path | None, task: str) -> Data | None:
    if value is None:
        for option, given in (("--held-out", held_out), ("--validation", validation), ("--table", table)):
            if given is not None:
                raise UsageError(f"{option} without --data", "a task of your own brings all its data itself")
        return None
    if task != "built-in":
        raise UsageError("--data is for the built-in task", "a task of your own brings its data itself: docs/tasks.md")
    return site_file.named(value, held_out, validation, table)


@click.command(epilog="Example: alx init clinic --role learner --plan plan.toml --data npz:clinic.npz")
@click.argument("folder", type=click.Path(path_type=Path), metavar="[SITE]", required=False)
@click.option("--role", type=click.Choice(get_args(Role)), help="The learner goes first.")
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), help="The agreed plan.toml.")
@click.option("--task", default="built-in", show_default=True, metavar="built-in|FILE", help="A file with make_task.")
@click.option("--data", metavar="KIND:PATH", help=f"For the built-in task: {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
@click.option("--held-out", metavar="PATH", help="Data kept apart for a score, where the kind has none of its own.")
@click.option(
    "--validation", metavar="PATH", help="Data of the same kind to select on, where the plan selects on validation samples."
)
@click.option(
    "--table", type=click.Path(path_type=Path), metavar="FILE", help="How a CSV is written: the fields of [data.table]."
)
@click.option(
    "--plan-from", metavar="DATA", help="Make no site: write a first plan, to --plan, out of a CSV, a folder or an .npz."
)
@click.option("--label", metavar="COLUMN", help="With --plan-from: the column of a CSV to predict.")
@click.option("--id", "ids", multiple=True, metavar="COLUMN", help="With --plan-from: one that names a row or a person.")
@click.option("--values", is_flag=True, help="With --plan-from: values of categories and classes may stand in the plan.")
@click.option("--take-missing", "fill", is_flag=True, help="With --plan-from: provide for missing cells; else refuse them.")
@click.option(
    "--init",
    "init_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .safetensors to start from: the learner's; both sides' where part of the model stays at home.",
)
@click.option("--passphrase", "ask", is_flag=True, help="Ask for a passphrase that encrypts the private key.")
@click.option(
    "--passphrase-fd",
    "descriptor",
    type=click.IntRange(min=0),
    metavar="N",
    help="The same, read as one line from this file descriptor.",
)
@json_option
def init(
    folder: Path | None,
    role: Role | None,
    plan_path: Path | None,
    task: str,
    data: str | None,
    held_out: str | None,
    validation: str | None,
    table: Path | None,
    plan_from: str | None,
    label: str | None,
    ids: tuple[str, ...],
    values: bool,
    fill: bool,
    init_path: Path | None,
    ask: bool,
    descriptor: int | None,
    as_json: bool,
) -> None:
    """Make a site's folder: key, plan, ledger.

    The data are read once, and nothing is made where they cannot be used. With --plan-from no site is made, but a first
    plan: alx init --plan-from clinic.csv --label outcome --id patient
    """
    if plan_from is not None:
        for option, given in (("SITE", folder), ("--role", role), ("--data", data), ("--init", init_path)):
            if given is not None:
                raise UsageError(f"--plan-from makes no site, and there is {option}", "leave it out, and make the site then")
        from alx.cli.draft import first_plan  # noqa: PLC0415 - torch

        out = plan_path or Path("plan.toml")
        first_plan(plan_from, out, table, label, ids, values=values, fill=fill, as_json=as_json)
        return
    if label is not None or ids or values or fill:
        raise UsageError("--label, --id, --values and --take-missing go with --plan-from", "leave them out")
    if folder is None or role is None or plan_path is None:
        lacks = "SITE" if folder is None else "--role" if role is None else "--plan"
        raise UsageError(f"a site needs SITE, --role and --plan, and there is no {lacks}", "alx init --help has an example")
    config = SiteFile(role=role, task=task, data=_data(data, held_out, validation, table, task))
    passphrase = passphrases.choose(descriptor) if ask or descriptor is not None else None
    plan_file, _ = new.drafted(folder, config, plan_path, init_path)
    seen = _seen(config, plan_file.plan)
    site = new.create(folder, config, plan_path, init=init_path, passphrase=passphrase)
    if as_json:
        key = site.look().public_key.fingerprint
        told = None if seen is None else seen.json()
        screen.machine({"site": site.folder, "role": role, "plan": site.plan_file.digest, "key": key, "data": told})
        return
    screen.tell(f"made the {role}'s site '{folder}' under plan '{site.plan.name}' ({site.plan_file.digest[:16]}…)")
    if seen is not None:
        screen.tell(*summary.brief(seen))
    else:
        why = "site.toml names none yet" if task == "built-in" else "a task of your own brings them"
        screen.tell(f"the data were not looked at: {why}; alx check says more")
    screen.tell("next: alx identity")


def _seen(config: SiteFile, plan: Plan) -> Summary | None:
    """What the data hold, where there are any to look at.

    Raises:
        ConfigError: they cannot be used.
    """
    if config.data is None:
        return None
    from alx.tasks import load  # noqa: PLC0415 - torch
    from alx.tasks.data import summary as summaries  # noqa: PLC0415

    read = load.samples(config.data, Path(), plan)
    if plan.model is not None and plan.model.file() is None:  # code beside the plan is run by alx check, not here
        load.refuse_misfit(config.data, Path(), plan, read)
    return summaries.of(config.data, Path(), plan, read)


@click.command(epilog="Example: alx describe --data csv:clinic.csv --plan draft.toml clinic.json")
@click.argument("out", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@click.option("--data", metavar="KIND:PATH", help="The data, where there is no site yet.")
@click.option("--plan", "plan_path", type=click.Path(path_type=Path), help="A draft that says how these are read.")
@click.option(
    "--table", type=click.Path(path_type=Path), metavar="FILE", help="How a CSV is written: the fields of [data.table]."
)
@click.option(
    "--least",
    type=click.IntRange(min=disclosure.LOWEST),
    metavar="COUNT",
    help="Counts below it are hidden; default, and no less: least under [disclosure] in the plan or site.toml.",
)
@place_option
@json_option
def describe(
    out: Path | None,
    data: str | None,
    plan_path: Path | None,
    table: Path | None,
    least: int | None,
    place: Path | None,
    as_json: bool,
) -> None:
    """Write a file of what a peer needs to know to agree on a plan: counts by class, ranges, missing cells.

    A count that is small, or from which a small one would follow, is hidden; so are the least and the most of a column.
    All that stands in the file is shown. Nothing is sent: read it, take out what you would rather not tell, carry it
    yourself.
    """
    if (data is None) != (plan_path is None):
        raise UsageError(
            "--data and --plan go together: a plan says how data are read",
            "a draft serves, the peer's or one of alx init --plan-from; inside a site leave out both",
        )
    if table is not None and data is None:
        raise UsageError("--table without --data", "inside a site its site.toml says how a CSV is written")
    others: list[Described] = []
    if data is not None and plan_path is not None:
        path = new_file(None, out, "description.json", "description", _require_description)
        source, folder, plan_file = site_file.named(data, None, table=table), plan_path.parent, sites.read_plan(plan_path)
        made = _described(source, folder, plan_file, disclosure.least(plan_file.plan.least, least))
        files.replace(path, made, shared=True)
    else:
        site = at(place)
        if site.config.task != "built-in" or site.config.data is None:
            raise UsageError(
                "the task of this site is one of your own, and it alone knows its data", "describe them yourself"
            )
        path = new_file(site, out, f"{site.role}-description.json", "description", _require_description)
        with site.locked("describe", path.name):
            hidden = disclosure.least(site.least, least)
            made = _described(site.config.data, site.folder, site.plan_file, hidden)
            record = Described(file=escape(path.name), digest=hashlib.sha256(made).hexdigest(), least=hidden)
            before = (e.record for e in events.read(site.events_path))
            others = [each for each in before if isinstance(each, Described) and each.digest != record.digest]
            with files.replacing_all({path: made}, shared=True):
                events.record(site.events_path, record)
    told = description.parse(made)
    if others:
        last = others[-1]  # its name was escaped when it was recorded
        screen.tell(
            f"LOOK: '{last.file}' told of these data otherwise (least {last.least}): from two descriptions counts can "
            "follow that each of them hides; hand over one alone",
            err=as_json,
        )
    if as_json:
        screen.machine({"file": path, "description": told.model_dump(exclude_none=True)})
        return
    screen.tell(f"wrote '{path}', and this is all that stands in it:")
    screen.tell(*(f"  {line}" for line in described.words(told)), *described.legend(told))
    screen.tell("nothing was sent: read it, take out what you would rather not tell, and carry it yourself")


def _require_description(path: Path) -> None:
    description.parse(carried.read_file(path, description.MAX_DESCRIPTION_BYTES))


def _described(source: Data, folder: Path, plan_file: PlanFile, least: int) -> bytes:
    """The file's bytes."""
    from alx.tasks import load  # noqa: PLC0415 - torch
    from alx.tasks.data import summary as summaries  # noqa: PLC0415

    plan = plan_file.plan
    read = load.samples(source, folder, plan)
    found = summaries.of(source, folder, plan, read, load.classes(folder, plan, source, read))
    return description.text(disclosure.described(found, plan_file.digest, least))
